import EngineInterface
import Testing

/// Every guest runs on every engine of this host and must do the same on each, as the manuals say.
struct ConformanceTests {
  @Test(
    .enabled(
      if: EngineChoice.kvm.reasonForAbsence == nil,
      Comment(rawValue: EngineChoice.kvm.reasonForAbsence ?? "")))
  func `KVM takes part`() throws {
    #expect(EngineChoice.available.contains(.kvm))
  }

  /// Runs a guest, and expects what it reports.
  static func expect(
    _ guest: String, on choice: EngineChoice, processorCount: Int = 1, _ reports: [UInt32],
    end: Outcome.End = .finished, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let machine = try ConformanceMachine(guest, on: choice, processorCount: processorCount)
    #expect(machine.engine.kind == choice.kind)
    let outcome = machine.run()
    #expect(outcome == Outcome(reports, end), sourceLocation: sourceLocation)
  }

  @Test(arguments: EngineChoice.available)
  func `real mode wraps, faults and calls by its own rules`(on choice: EngineChoice) throws {
    try Self.expect(
      "real_mode", on: choice,
      [
        // POPF and PUSHF
        0x7CD7, 0x0002,
        // the far call's frame, and SP after RETF 2
        0x0000, 0x7C00,
        // IF and TF in the handler, IF after it
        0, 0x200,
        // #GP and #SS, then #DE
        0, 3, 0,
        // the stack's wrap
        0xFFFE, 0x4321,
        // the string's wrap
        0x0002, 0xA5A5,
        // A20
        0,
      ])
  }
}
