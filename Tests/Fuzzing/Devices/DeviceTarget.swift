import ChipsetDevices
import DeviceModel
import GuestMemory
import MachineTypes
import MartletTesting
import PCIBus
import VirtioDevices

/// The devices that are fuzzed; the input's first byte chooses one.
private let devices: [@Sendable (FuzzedBoard, Inputs) -> Void] = [
  { board, _ in board.plug(EntropyDevice(source: SeededEntropy(seed: 1))) },
  { $0.plug(BlockDevice(FuzzedDisk(), serialNumber: "fuzz", queueCount: 2, submit: $1.add)) },
  { board, _ in board.plug(NetworkDevice(FuzzedNetwork(), address: .fuzzed, pairCount: 2)) },
  { $0.plug(FileSharingDevice(FuzzedFolder(), tag: "fuzz", submit: $1.add)) },
  { board, _ in board.plug(ConsoleDevice(ports: .fuzzed)) },
  { board, _ in board.plug(BalloonDevice(.init(), clock: board.clock)) },
  { $0.plug(SocketDevice(FuzzedSockets($1), guestCID: 3)) },
]

/// Drives one virtio device, its PCI function and the chipset by what the input says. Nothing may trap, hang, ask for
/// more work at once than the queues hold, or lose the function.
func fuzzDevices(_ data: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  var input = OperationReader(Array(UnsafeBufferPointer(start: data, count: count)))
  let choice = input.byte()
  let board = FuzzedBoard(isBehindBridge: choice & 0x80 != 0)
  devices[Int(choice & 0x7F) % devices.count](board, board.inputs)
  var driver = FuzzedDriver(board)
  var left = 400
  while !input.isAtEnd, left > 0 {
    WorkCounter.shared.beginOperation()
    board.findRegisters()
    perform(&input, board, &driver)
    left -= 1
  }
  // After all this a reset leaves a device that is there and waits for a driver.
  board.root.reset()
  board.findRegisters()
  precondition(board.readConfiguration(0) & 0xFFFF == 0x1AF4, "the function is lost")
  precondition(board.read(20, .byte) == 0, "the device status is not that of power-on")
  board.completions.waitUntilIdle()
  return 0
}

private func perform(
  _ input: inout OperationReader, _ board: FuzzedBoard, _ driver: inout FuzzedDriver
) {
  let ports = board.chipset.ports
  let memory = board.chipset.memory
  switch input.byte() % 20 {
  case 0: driver.start(&input)
  case 1...4: driver.offer(&input)
  case 5: driver.notify(Int(input.byte()))
  case 6: driver.store(input.bytes(Int(1 + input.byte() & 15)), at: input.address())
  case 7: board.deliverInputs()
  case 8: _ = board.deliver(input.deviceInput())
  case 9:
    let width = input.width()
    board.write(input.integer(width.byteCount), input.integer(2) & 0x3FFF, width)
  case 10: _ = board.read(input.integer(2) & 0x3FFF, input.width())
  case 11: board.writeConfiguration(UInt32(input.integer(4)), input.byte())
  case 12: _ = board.readConfiguration(input.byte())
  case 13:
    // The table of messages.
    let place = board.table &+ (input.integer(2) & 0xFFF)
    _ = memory.write(input.integer(4), to: GuestPhysicalAddress(rawValue: place), input.width())
    _ = memory.read(GuestPhysicalAddress(rawValue: place), input.width())
  case 14, 15:
    let port = PortAddress(input.port())
    let width = input.width()
    _ = ports.write(UInt32(truncatingIfNeeded: input.integer(width.byteCount)), to: port, width)
    _ = ports.read(port, width)
  case 16:
    // Configuration space of all buses, I/O APIC, HPET, or anywhere.
    let bases: [UInt64] = [PCILayout.configurationSpace, 0xFEC0_0000, 0xFED0_0000, 0]
    let base = bases[Int(input.byte() & 3)]
    let offset = base == 0 ? input.integer(8) : input.integer(3) & (base < 0xF000_0000 ? ~0 : 0x3FF)
    let place = GuestPhysicalAddress(rawValue: base &+ offset)
    let width = input.width()
    _ = memory.write(input.integer(width.byteCount), to: place, width)
    _ = memory.read(place, width)
  case 17: board.clock.jump(nanoseconds: input.integer(2))
  case 18: board.clock.skip(nanoseconds: input.integer(5))
  default:
    guard input.byte() == 0 else { return }
    board.chipset.reset()
    board.root.reset()
  }
}

extension OperationReader {
  /// Something from outside, whichever device it is for.
  fileprivate mutating func deviceInput() -> DeviceInput {
    switch byte() % 11 {
    case 0: return .blockCompletion(request: integer(1), status: byte())
    case 1: return .blockResize(byteCount: integer(4))
    case 2: return .networkRoom
    case 3: return .fileReply(request: integer(1), bytes: bytes(Int(byte())))
    case 4: return .balloonTarget(pageCount: UInt32(integer(4)))
    case 5: return .console(port: UInt32(byte()), bytes: bytes(Int(byte())))
    case 6:
      let port = UInt32(byte())
      return .consoleSize(port: port, columns: UInt16(integer(2)), rows: UInt16(integer(2)))
    case 7: return .socket(socketEvent())
    case 8: return .consoleRoom(port: UInt32(byte()))
    case 9: return .consoleConnection(port: UInt32(byte()), isConnected: byte() & 1 != 0)
    default:
      var packet = NetworkPacket(bytes: bytes(14 + Int(byte())))
      if byte() & 1 != 0 { packet.bytes += [UInt8](repeating: 0, count: Int(integer(2))) }
      return .packet(packet)
    }
  }

  private mutating func socketEvent() -> SocketEvent {
    let kind = byte()
    let connection = SocketConnection(rawValue: integer(1))
    switch kind % 7 {
    case 0: return .connect(connection, port: UInt32(integer(4)))
    case 1: return .opened(connection)
    case 2: return .refused(connection)
    case 3: return .received(connection, bytes: bytes(Int(byte())))
    case 4: return .sent(connection, byteCount: UInt32(integer(4)))
    case 5: return .ended(connection, SocketDirections(rawValue: byte()))
    default: return .transportReset
    }
  }

  /// Mostly one of the chipset's.
  fileprivate mutating func port() -> UInt16 {
    let known: [UInt16] = [
      0x20, 0xA0, 0x4D0, 0x40, 0x60, 0x64, 0x70, 0x92, 0xCF8, 0xCFC, 0x3F8, 0x505, 0x600, 0x620,
    ]
    let choice = byte()
    guard choice < 0xE0 else { return UInt16(integer(2)) }
    return known[Int(choice >> 4)] + UInt16(choice & 7)
  }
}

extension MACAddress {
  fileprivate static let fuzzed = MACAddress("52:54:00:00:00:07")!
}

extension [ConsolePort] {
  fileprivate static let fuzzed = [
    ConsolePort(isConsole: true, sink: FuzzedConsole()),
    ConsolePort(name: "fuzz", isConsole: false, sink: FuzzedConsole()),
  ]
}
