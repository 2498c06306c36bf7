import EngineInterface
import Testing

struct LongModeTests {
  @Test(arguments: EngineChoice.available)
  func `64-bit mode has its own faults and stacks`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      fault(13), fault(12), fault(13), fault(13), fault(13), fault(13), fault(6), fault(6),
      fault(6), fault(13), fault(13),
      // SWAPGS
      [0x2222_2222, 0x1111_1111],
      // IST
      [0x26000 - 40, 0x20000, 0x18],
      // IRETQ
      [0x1F000, 0x200],
      // compatibility mode
      [0x08, 0x10], fault(13, 0x60),
    ]
    try ConformanceTests.expect("long_mode", on: choice, expected.flatMap { $0 })
  }

  /// Not on a KVM without hardware: it has no data breakpoints, and POP SS does not hold traps back.
  @Test(arguments: EngineChoice.exact)
  func `debug exceptions trap and fault where they should`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      // single step: after the NOP behind POPF
      fault(1, at: 2), [0xFFFF_4FF0],
      // POPF, POP SS, NOP
      fault(1, at: 3), [0xFFFF_4FF0],
      fault(1, at: 1), [0xFFFF_0FF1], fault(1, at: 5), [0xFFFF_0FF2],
      fault(1), [0xFFFF_2FF0, 0x400],
      [0xFFFF_0FF0], fault(6), fault(1, at: 1),
    ]
    try ConformanceTests.expect("debugging", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.available)
  func `changed code runs as changed, and strings stop where they fault`(
    on choice: EngineChoice
  ) throws {
    let expected: [[UInt32]] = [
      [6, 7, 0x12A, 0x12B, 0x1111],
      fault(13), [0x8008, 0x1_0000], [0, 0x703, 0x1234_5678, 0x6FC],
      [0x11, 0x22, 0x33, 0x005A_5A5A],
    ]
    try ConformanceTests.expect("code", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.available)
  func `faults in delivery become double, then triple`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [fault(8), [0x7E57]]
    try ConformanceTests.expect(
      "double_fault", on: choice, expected.flatMap { $0 }, end: .shutdown)
  }

  /// Not on a KVM without hardware: it makes a double fault of it.
  @Test(arguments: EngineChoice.exact)
  func `a fault in the delivery of a benign exception has EXT set`(
    on choice: EngineChoice
  ) throws {
    try ConformanceTests.expect(
      "benign_fault", on: choice, fault(11, 6 * 8 + 3) + fault(11, 6 * 8 + 2))
  }

  /// Not on a KVM without hardware: its kernel mode reads the selectors of its user mode.
  @Test(arguments: EngineChoice.exact)
  func `system calls change levels without a look at descriptors`(
    on choice: EngineChoice
  ) throws {
    let expected: [[UInt32]] = [
      // SYSRET, SYSCALL
      [0x33, 0x2B, 0x202], [0, 0x203, 0x10, 0x18, 0],
      // compatibility mode
      [0x23, 1, 0x77], fault(6, privilege: 3),
      // SYSENTER, SYSEXIT
      [0x10, 0x18, 0x1E000], [0x33, 0x3B, 0x27FF0], fault(6, privilege: 3),
      fault(13, privilege: 3), fault(6, privilege: 3),
    ]
    try ConformanceTests.expect("system_calls", on: choice, expected.flatMap { $0 })
  }
}
