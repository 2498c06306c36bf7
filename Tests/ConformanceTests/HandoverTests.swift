import EngineInterface
import Testing

/// A guest may change engines between any two instructions: what one saves the other restores.
struct HandoverTests {
  @Test(
    arguments: EngineChoice.available,
    ["protected_faults", "long_mode", "long_paging", "real_mode", "floating_point"])
  func `a guest goes on elsewhere`(on choice: EngineChoice, guest: String) throws {
    let expected = try ConformanceMachine(guest, on: choice).run()
    #expect(expected.end == .finished)
    for next in EngineChoice.available {
      for count in stride(from: 1, to: expected.reports.count, by: 5) {
        let first = try ConformanceMachine(guest, on: choice)
        try first.run(untilReports: count)
        let second = try ConformanceMachine(guest, on: next)
        try second.take(over: first)
        #expect(second.engine.kind == next.kind)
        #expect(second.run() == expected, "\(choice) to \(next) after \(count) reports")
      }
    }
  }
}
