import EngineInterface
import Testing

/// A page fault as the guests' handlers report it.
private func pageFault(
  _ errorCode: UInt32, _ address: UInt32, at offset: UInt32 = 0, privilege: UInt32 = 0
) -> [UInt32] {
  fault(14, errorCode, at: offset, privilege: privilege) + [address]
}

struct PagingTests {
  @Test(arguments: EngineChoice.available)
  func `4-level paging faults with the right codes and sets A and D`(
    on choice: EngineChoice
  ) throws {
    let expected: [[UInt32]] = [
      pageFault(0, 0x30123), pageFault(2, 0x30456), pageFault(0, 0x30000),
      pageFault(3, 0x30000),
      // A and D after the write with WP clear; the directory; read, then written
      [0x061, 0x027, 0x023, 0x063],
      // NX, a fetch from nowhere
      fetchFault(0x11, 0x32000), fetchFault(0x10, 0x32000),
      // reserved bits
      pageFault(9, 0x33000), pageFault(9, 0x600000),
      // user mode
      pageFault(5, 0x34000, privilege: 3), pageFault(7, 0x34008, privilege: 3),
      pageFault(7, 0x34010, at: 7, privilege: 3), fetchFault(0x15, 0x34000, privilege: 3),
      // INVLPG, CR3
      [0x1122_3344, 0x5566_7788, 0x1122_3344],
      // SMEP, SMAP
      fetchFault(0x11, 0x38000), pageFault(1, 0x38000), [0xC3], pageFault(3, 0x38000),
    ]
    var outcome = try ConformanceMachine("long_paging", on: choice).run()
    Self.forgetOffsets(in: &outcome)
    #expect(outcome == Outcome(expected.flatMap { $0 }))
  }

  /// A fetch faults at the target of the jump, whose distance means nothing.
  private func fetchFault(
    _ errorCode: UInt32, _ address: UInt32, privilege: UInt32 = 0
  ) -> [UInt32] {
    pageFault(errorCode, address, privilege: privilege)
  }

  private static func forgetOffsets(in outcome: inout Outcome) {
    for index in outcome.reports.indices.dropLast()
    where outcome.reports[index] & 0xFFFF_0010 == 0xEE0E_0010 {
      outcome.reports[index + 1] &= 0xFFFF_0000
    }
  }
}
