import Bits

/// One 8259A programmable interrupt controller (Intel 8259A data sheet, order 231468).
struct PIC8259: Codable, Equatable, Sendable {
  enum InitializationStep: UInt8, Codable, Sendable {
    case ready, vectorBase, cascade, mode
  }

  /// IRR: requests not yet acknowledged, a bit per input.
  var requests: UInt8
  /// ISR: acknowledged, no EOI yet.
  var inService: UInt8
  /// IMR.
  var mask: UInt8
  /// The levels on the inputs.
  var inputs: UInt8
  /// ELCR: inputs that are level-triggered.
  var levelTriggered: UInt8
  var vectorBase: UInt8
  /// The input that has the lowest priority; the next one has the highest.
  var lowestPriority: UInt8
  var step: InitializationStep
  var expectsICW4: Bool
  var isSingle: Bool
  var automaticEOI: Bool
  var rotatesOnAutomaticEOI: Bool
  var specialMask: Bool
  var specialFullyNested: Bool
  var readsInService: Bool
  var isPolled: Bool

  static let powerOn = PIC8259(
    requests: 0, inService: 0, mask: 0, inputs: 0, levelTriggered: 0, vectorBase: 0,
    lowestPriority: 7, step: .ready, expectsICW4: false, isSingle: false, automaticEOI: false,
    rotatesOnAutomaticEOI: false, specialMask: false, specialFullyNested: false,
    readsInService: false, isPolled: false)

  /// The input to be served next; `nil` while INT is low.
  var pendingInput: UInt8? {
    let candidates = requests & ~mask
    guard candidates != 0 else { return nil }
    // In special mask mode, inputs that are masked while in service hold nobody back.
    let blocking = specialMask ? inService & ~mask : inService
    for step in UInt8(0)..<8 {
      let input = (lowestPriority &+ 1 &+ step) & 7
      let isBlocking = blocking[bit: Int(input)]
      // In special fully nested mode the slave may interrupt itself.
      let blocksItself = isBlocking && !(specialFullyNested && input == 2)
      if candidates[bit: Int(input)], !blocksItself { return input }
      if isBlocking { return nil }
    }
    return nil
  }

  mutating func setInput(_ input: UInt8, _ isAsserted: Bool) {
    let bit = UInt8(1) &<< input
    if levelTriggered & bit != 0 {
      requests = isAsserted ? requests | bit : requests & ~bit
    } else if isAsserted, inputs & bit == 0 {
      requests |= bit
    }
    inputs = isAsserted ? inputs | bit : inputs & ~bit
  }

  mutating func setLevelTriggered(_ value: UInt8) {
    levelTriggered = value
    requests = (requests & ~value) | (inputs & value)
  }

  /// The INTA cycle for `input`.
  mutating func acknowledge(_ input: UInt8) {
    let bit = UInt8(1) &<< input
    if levelTriggered & bit == 0 { requests &= ~bit }
    if automaticEOI {
      if rotatesOnAutomaticEOI { lowestPriority = input }
    } else {
      inService |= bit
    }
  }

  func readData() -> UInt8 { mask }

  func readCommand() -> UInt8 { readsInService ? inService : requests }

  /// The poll command's answer: an acknowledge cycle by software.
  mutating func poll() -> UInt8 {
    isPolled = false
    guard let input = pendingInput else { return 0 }
    acknowledge(input)
    return 0x80 | input
  }

  mutating func writeCommand(_ value: UInt8) {
    if value[bit: 4] {
      initialize(value)
    } else if value[bit: 3] {
      writeOperation3(value)
    } else {
      writeOperation2(value)
    }
  }

  mutating func writeData(_ value: UInt8) {
    switch step {
    case .ready:
      mask = value
    case .vectorBase:
      vectorBase = value & 0xF8
      step = isSingle ? (expectsICW4 ? .mode : .ready) : .cascade
    case .cascade:
      step = expectsICW4 ? .mode : .ready
    case .mode:
      automaticEOI = value[bit: 1]
      specialFullyNested = value[bit: 4]
      step = .ready
    }
  }

  /// ICW1. Its level/edge bit has no effect on a PC with ELCR.
  private mutating func initialize(_ value: UInt8) {
    requests = inputs & levelTriggered
    inService = 0
    mask = 0
    lowestPriority = 7
    step = .vectorBase
    expectsICW4 = value[bit: 0]
    isSingle = value[bit: 1]
    automaticEOI = false
    rotatesOnAutomaticEOI = false
    specialMask = false
    specialFullyNested = false
    readsInService = false
    isPolled = false
  }

  /// OCW2: EOI and rotation.
  private mutating func writeOperation2(_ value: UInt8) {
    let input = value & 7
    switch value >> 5 {
    case 0: rotatesOnAutomaticEOI = false
    case 1: endHighest(rotating: false)
    case 3: inService &= ~(1 &<< input)
    case 4: rotatesOnAutomaticEOI = true
    case 5: endHighest(rotating: true)
    case 6: lowestPriority = input
    case 7:
      inService &= ~(1 &<< input)
      lowestPriority = input
    default: break  // 2: no operation
    }
  }

  /// OCW3: poll, register select, special mask.
  private mutating func writeOperation3(_ value: UInt8) {
    if value[bit: 6] { specialMask = value[bit: 5] }
    isPolled = value[bit: 2]
    if value[bit: 1] { readsInService = value[bit: 0] }
  }

  /// The non-specific EOI. In special mask mode it passes over masked inputs.
  private mutating func endHighest(rotating: Bool) {
    let candidates = specialMask ? inService & ~mask : inService
    for step in UInt8(0)..<8 {
      let input = (lowestPriority &+ 1 &+ step) & 7
      guard candidates[bit: Int(input)] else { continue }
      inService &= ~(1 &<< input)
      if rotating { lowestPriority = input }
      return
    }
  }
}
