import BootLoaders
import FirmwareTables
import GuestMemory
import MachineTypes

/// One machine for all inputs: a loader writes into it whatever was there before.
private struct FuzzedMachine {
  let memory: GuestRAM
  let firmware: FirmwareImage

  init() {
    do {
      memory = try GuestRAM(byteCount: 64 << 20)
      firmware = try FirmwareImage(platform: PlatformDescription(cpuCount: 1), memory: memory)
    } catch {
      fatalError("no memory to fuzz with: \(error)")
    }
  }
}

private let machine = FuzzedMachine()

/// Loads the input as a kernel. The first byte chooses: bit 0 an initial RAM disk, bit 1 an address of
/// our own, from the next eight bytes. What loads has its entry in RAM; what does not says why.
func fuzzBootLoaders(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: data, count: count))
  guard bytes.count > 9 else { return 0 }
  let address = bytes[1..<9].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  let options = BootOptions(
    kernelAddress: bytes[0] & 2 == 0 ? nil : GuestPhysicalAddress(rawValue: address))
  do throws(BootError) {
    let guest = try LinuxBootLoader.load(
      kernel: Array(bytes[9...]), initialRAMDisk: bytes[0] & 1 == 0 ? nil : [1],
      commandLine: "a=b", options: options, memory: machine.memory, firmware: machine.firmware,
      signature: 0)
    precondition(machine.memory.contains(guest.entryAddress, byteCount: 1), "entry outside RAM")
  } catch {
    precondition(!error.description.isEmpty)
  }
  return 0
}
