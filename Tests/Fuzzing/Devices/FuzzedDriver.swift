import GuestMemory
import MachineTypes

/// A driver that starts the device as the standard has it and then writes into its rings what the input says.
struct FuzzedDriver {
  /// Queue n's descriptors; the driver's area 4000h behind them, the device's 2000h further on.
  static func area(of queue: Int) -> UInt64 { 0x1_0000 * UInt64(queue & 7) }
  static let buffers: UInt64 = 0x9_0000

  private struct Ring {
    var size: UInt16 = 1
    var index: UInt16 = 0
    /// The packed ring's place and wrap counter.
    var position: UInt16 = 0
    var wrap = true
  }

  private let board: FuzzedBoard
  private var rings = [Ring](repeating: Ring(), count: 8)
  private var isPacked = false

  init(_ board: FuzzedBoard) { self.board = board }

  private static let packed: UInt64 = 1 << 34

  /// Negotiates, enables queues and sets DRIVER_OK.
  mutating func start(_ input: inout OperationReader) {
    // Memory space and mastership, here and in the bridge above.
    board.writeConfiguration(6, 0x04)
    let choice = input.byte()
    for status: UInt64 in choice & 1 == 0 ? [0, 1, 3] : [1, 3] { board.write(status, 20, .byte) }
    var features: UInt64 = 0
    for half: UInt64 in 0...1 {
      board.write(half, 0, .doubleword)
      features |= board.read(4, .doubleword) << (32 * half)
    }
    if choice & 2 != 0 { features &= ~Self.packed }
    if choice & 4 != 0 { features &= input.integer(8) | 1 << 32 }
    if choice & 8 != 0 { features |= input.integer(8) }
    isPacked = features & Self.packed != 0
    for half: UInt64 in 0...1 {
      board.write(half, 8, .doubleword)
      board.write(features >> (32 * half), 12, .doubleword)
    }
    board.write(11, 20, .byte)
    for queue in rings.indices { enable(queue, &input) }
    board.write(15, 20, .byte)
  }

  private mutating func enable(_ queue: Int, _ input: inout OperationReader) {
    let choice = input.byte()
    let size: UInt16 = choice & 8 == 0 ? 1 << UInt16(choice & 7) : UInt16(input.integer(2))
    rings[queue] = Ring(size: max(size, 1))
    board.write(UInt64(queue), 22, .word)
    board.write(UInt64(size), 24, .word)
    board.write(UInt64(choice >> 4), 26, .word)
    for (number, offset): (UInt64, UInt64) in [(0, 0), (1, 0x4000), (2, 0x6000)] {
      var place = Self.area(of: queue) + offset
      if choice & 0xF0 == 0xF0 { place = input.address() }
      board.write(place, 32 + 8 * number, .doubleword)
      board.write(place >> 32, 36 + 8 * number, .doubleword)
    }
    board.write(1, 28, .word)
  }

  /// Puts a chain of descriptors into a queue's ring, with some bytes in its first buffer, and says so.
  mutating func offer(_ input: inout OperationReader) {
    let choice = input.byte()
    let queue = Int(choice & 7)
    let count = 1 + Int(choice >> 3 & 7)
    for number in 0..<count {
      let address = input.address()
      let length = input.length()
      let given = input.byte()
      // WRITE and INDIRECT from the input, NEXT for all but the last.
      var flags = UInt16(given & (given & 0x80 == 0 ? 2 : 6))
      if number < count - 1 { flags |= 1 }
      if number == 0 { store(input.bytes(Int(input.byte() & 63)), at: address) }
      if isPacked {
        addPacked(queue, address, length, flags)
      } else {
        addSplit(queue, number, address, length, flags)
      }
    }
    if !isPacked { publish(queue, head: 0) }
    notify(queue)
  }

  private func addSplit(
    _ queue: Int, _ number: Int, _ address: UInt64, _ length: UInt32, _ flags: UInt16
  ) {
    let place = Self.area(of: queue) + 16 * UInt64(number)
    store(address, at: place)
    let next = UInt64(number + 1)
    store(UInt64(length) | UInt64(flags) << 32 | next << 48, at: place + 8)
  }

  private mutating func publish(_ queue: Int, head: UInt16) {
    let driverArea = Self.area(of: queue) + 0x4000
    let slot = UInt64(rings[queue].index % rings[queue].size)
    store(head, at: driverArea + 4 + 2 * slot)
    rings[queue].index &+= 1
    store(rings[queue].index, at: driverArea + 2)
  }

  private mutating func addPacked(
    _ queue: Int, _ address: UInt64, _ length: UInt32, _ flags: UInt16
  ) {
    let place = Self.area(of: queue) + 16 * UInt64(rings[queue].position)
    let state: UInt16 = rings[queue].wrap ? 1 << 7 : 1 << 15
    store(address, at: place)
    let identifier = UInt64(rings[queue].position)
    store(UInt64(length) | identifier << 32 | UInt64(flags | state) << 48, at: place + 8)
    rings[queue].position += 1
    if rings[queue].position >= rings[queue].size {
      rings[queue].position = 0
      rings[queue].wrap.toggle()
    }
  }

  func notify(_ queue: Int) { board.write(UInt64(queue), 0x3000 + 4 * UInt64(queue), .word) }

  /// Stores what lies in RAM.
  func store<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value, at address: UInt64) {
    try? board.memory.store(value, at: GuestPhysicalAddress(rawValue: address))
  }

  func store(_ bytes: [UInt8], at address: UInt64) {
    try? board.memory.write(bytes, at: GuestPhysicalAddress(rawValue: address))
  }
}
