import EngineInterface
import Testing

/// A fault as the guests' handlers report it.
func fault(
  _ vector: UInt32, _ errorCode: UInt32 = 0, at offset: UInt32 = 0, privilege: UInt32 = 0
) -> [UInt32] {
  [0xEE00_0000 | vector << 16 | errorCode, privilege << 16 | offset]
}

struct ProtectedModeTests {
  @Test(arguments: EngineChoice.available)
  func `segmentation faults with the right error codes`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      fault(13, 0x200), fault(13, 0x1C), fault(11, 0x60), fault(12, 0x60), fault(13),
      fault(13, 0x08), fault(13, 0x28), fault(13), fault(13, 0x60), fault(13), fault(13),
      fault(13), fault(12), fault(13, 0x18), fault(13), fault(11, 0x60), fault(13, 0x20),
      fault(13, 0x50), fault(13, 0x402), fault(11, 0x402), fault(13, 0x18),
      // INT3, INTO, UD2
      fault(3, at: 1), fault(4, at: 1), fault(6),
      // BOUND, DIV
      fault(5), fault(0), fault(0),
      // LOCK NOP, CR1, #NM, CR0, CR4, 16 bytes
      fault(6), fault(6), fault(7), fault(13), fault(13), fault(13), fault(13),
    ]
    try ConformanceTests.expect("protected_faults", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.available)
  func `user mode is kept from the machine`(on choice: EngineChoice) throws {
    let general = fault(13, privilege: 3)
    let expected: [[UInt32]] =
      Array(repeating: general, count: 14) + [
        // MOV EAX is 5 bytes, then the load
        fault(13, 0x18, at: 5, privilege: 3),
        // SMSW and STR are 4 bytes each, then HLT
        fault(13, at: 8, privilege: 3),
        // IN, OUT
        fault(13, at: 2, privilege: 3), fault(13, privilege: 3),
        // POPF: IF and IOPL stay, then UD2
        [0x0002], fault(6, at: 10, privilege: 3),
      ]
    try ConformanceTests.expect("user_faults", on: choice, expected.flatMap { $0 })
  }
}
