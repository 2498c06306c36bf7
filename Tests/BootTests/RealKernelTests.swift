import BootLoaders
import GuestMemory
import MachineTypes
import Testing
import X86

@Suite(.disabled(if: Guests.areMissing, "no guests in the cache: run Scripts/fetch-guests.sh"))
struct RealKernelTests {
  @Test(arguments: ["cloud-amd64", "amd64"])
  func `a 64-bit Debian kernel is loaded for its 64-bit entry`(flavour: String) throws {
    let kernel = try #require(Guests.kernel(flavour))
    let (memory, firmware) = try machine()
    let guest = try LinuxBootLoader.load(
      kernel: kernel, initialRAMDisk: [1, 2, 3], commandLine: "console=ttyS0", memory: memory,
      firmware: firmware, signature: 0x600)
    #expect(guest.image == .bzImage(is64Bit: true))
    #expect(guest.entry == .linux64)
    #expect(guest.entryAddress == GuestPhysicalAddress(0x100_0200))
    #expect(guest.state.instructionPointer == 0x100_0200)
    #expect(guest.state.cr0.isSuperset(of: [.protectionEnable, .paging]))
    #expect(guest.state.efer == [.longModeEnable, .longModeActive])
    #expect(guest.state.generalRegisters[6] == 0x7000)
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7202)) == 0x5372_6448)
    let setupSize = (Int(kernel[0x1F1]) + 1) * 512
    let loaded = try memory.bytes(at: GuestPhysicalAddress(0x100_0000), count: 0x10_0000)
    #expect(loaded == Array(kernel[setupSize..<setupSize + 0x10_0000]))
    let disk = try #require(guest.placements.first { $0.name == "initial RAM disk" })
    #expect(disk.address == GuestPhysicalAddress(256.mebibytes - 4096))
    #expect(try memory.bytes(at: disk.address, count: 3) == [1, 2, 3])
  }

  @Test(arguments: ["686", "686-pae"])
  func `a 32-bit Debian kernel is loaded for its 32-bit entry`(flavour: String) throws {
    let kernel = try #require(Guests.kernel(flavour))
    let (memory, firmware) = try machine()
    let guest = try LinuxBootLoader.load(
      kernel: kernel, commandLine: "console=ttyS0", memory: memory, firmware: firmware,
      signature: 0x600)
    #expect(guest.image == .bzImage(is64Bit: false))
    #expect(guest.entry == .linux32)
    #expect(guest.state.instructionPointer == 0x100_0000)
    #expect(guest.state.cr0 == [.protectionEnable, .extensionType])
    #expect(guest.state.efer == [])
    #expect(guest.state.generalRegisters[6] == 0x7000)
    #expect(throws: BootError.entryNotOffered(.linux64, by: .bzImage(is64Bit: false))) {
      try LinuxBootLoader.load(
        kernel: kernel, commandLine: "", options: BootOptions(entry: .linux64), memory: memory,
        firmware: firmware, signature: 0)
    }
  }

  @Test(arguments: ["cloud-amd64", "amd64"])
  func `a 64-bit Debian kernel can be entered in 32 bits`(flavour: String) throws {
    let kernel = try #require(Guests.kernel(flavour))
    let (memory, firmware) = try machine()
    let guest = try LinuxBootLoader.load(
      kernel: kernel, commandLine: "", options: BootOptions(entry: .linux32), memory: memory,
      firmware: firmware, signature: 0)
    #expect(guest.entryAddress == GuestPhysicalAddress(0x100_0000))
    #expect(guest.state.efer == [])
  }

  @Test(
    arguments: ["cloud-amd64", "amd64"],
    [0x10_0000, 0x20_0000, 0x100_0000, 0x560_0000, 0xA00_0000] as [UInt64])
  func `a 64-bit Debian kernel lies where it is told to`(flavour: String, address: UInt64) throws {
    let kernel = try #require(Guests.kernel(flavour))
    let (memory, firmware) = try machine()
    let guest = try LinuxBootLoader.load(
      kernel: kernel, commandLine: "",
      options: BootOptions(kernelAddress: GuestPhysicalAddress(address)), memory: memory,
      firmware: firmware, signature: 0)
    #expect(guest.entryAddress == GuestPhysicalAddress(address + 0x200))
    #expect(guest.kernelRange.lowerBound == max(address, 0x100_0000))
    #expect(try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7214)) == UInt32(address))
  }

  @Test(
    arguments: ["686", "686-pae"],
    [0x10_0000, 0x100_0000, 0x123_4000, 0x240_0000, 0xC00_0000] as [UInt64])
  func `a 32-bit Debian kernel lies where it is told to`(flavour: String, address: UInt64) throws {
    let kernel = try #require(Guests.kernel(flavour))
    let (memory, firmware) = try machine()
    let guest = try LinuxBootLoader.load(
      kernel: kernel, commandLine: "",
      options: BootOptions(kernelAddress: GuestPhysicalAddress(address)), memory: memory,
      firmware: firmware, signature: 0)
    #expect(guest.entryAddress == GuestPhysicalAddress(address))
    #expect(guest.kernelRange.lowerBound == max(address, 0x100_0000))
    let alignment = try memory.load(UInt32.self, at: GuestPhysicalAddress(0x7230))
    #expect(
      alignment
        == (address == 0x10_0000
          ? 0x100_0000 : min(0x100_0000, 1 << UInt32(address.trailingZeroBitCount))))
  }

  @Test func `a cut Debian kernel is refused as cut`() throws {
    let kernel = try #require(Guests.kernel("cloud-amd64"))
    let (memory, firmware) = try machine()
    for length in [0x290, 0x4000, kernel.count / 2] {
      #expect {
        try LinuxBootLoader.load(
          kernel: Array(kernel[..<length]), commandLine: "", memory: memory, firmware: firmware,
          signature: 0)
      } throws: { error in
        guard case BootError.truncated = error else { return false }
        return true
      }
    }
  }
}
