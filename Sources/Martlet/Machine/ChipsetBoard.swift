import ChipsetDevices
import DeviceModel
import MachineTypes

/// The PC's chipset and its serial lines.
struct ChipsetBoard: MachineBoard {
  let chipset: Chipset
  let lines: [COMPort: SerialLine]
  let pci: PCIBoard

  func readPort(_ port: PortAddress, _ width: AccessWidth) -> UInt64 {
    UInt64(chipset.ports.read(port, width))
  }

  func writePort(_ port: PortAddress, _ width: AccessWidth, _ value: UInt32) -> MachineRequest {
    chipset.ports.write(value, to: port, width)
  }

  func readMemory(_ address: GuestPhysicalAddress, _ width: AccessWidth) -> UInt64 {
    chipset.memory.read(address, width)
  }

  func writeMemory(
    _ address: GuestPhysicalAddress, _ width: AccessWidth, _ value: UInt64
  ) -> MachineRequest {
    chipset.memory.write(value, to: address, width)
  }

  func endOfInterrupt(_ vector: InterruptVector) { chipset.endOfInterrupt(vector) }

  func pressPowerButton() { chipset.pressPowerButton() }

  var memoryBalloon: MemoryBalloon? { pci.memoryBalloon }

  func storage(_ number: Int) -> StorageLink? { pci.storage(number) }

  func connect() throws {
    try pci.connect()
    for (port, line) in lines {
      try line.open(
        submit: { [chipset] in chipset.inputGate.submit(.serial(port: port.rawValue, bytes: $0)) },
        resumeOutput: { [chipset] in chipset.resumeOutput(of: port) })
    }
  }

  func disconnect() {
    for line in lines.values { line.close() }
    pci.close()
  }
}

/// The end of a serial line that is soldered to the port, of whichever kind.
struct SerialLineSink: SerialSink, ConsoleSink {
  let line: SerialLine

  func write(_ byte: UInt8) -> Bool { line.write(byte) }
  func write(_ bytes: [UInt8]) -> Int { line.write(bytes) }
  func inputRoomAvailable() { line.portHasRoom() }
}

/// A console port that nothing is connected to.
struct NullConsoleSink: ConsoleSink {
  func write(_ bytes: [UInt8]) -> Int { bytes.count }
  func inputRoomAvailable() {}
}
