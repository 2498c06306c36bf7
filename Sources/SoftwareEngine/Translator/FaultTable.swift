import CHost

/// The instructions of a stretch of code that the host may refuse, and where code goes on then: what the signal
/// handler looks into.
@safe final class FaultTable {
  private let entries: UnsafeMutablePointer<chost_translated_fault>
  private let counter: UnsafeMutablePointer<UInt32>

  init(capacity: Int) {
    // SAFETY: freed in deinit; entries are initialised before they are counted.
    unsafe entries = .allocate(capacity: capacity)
    unsafe counter = .allocate(capacity: 1)
    unsafe counter.initialize(to: 0)
  }

  deinit {
    unsafe entries.deallocate()
    unsafe counter.deallocate()
  }

  /// Has the signal handler serve a range of addresses by this table; returns its slot, or -1.
  func register(_ start: UInt, _ byteCount: UInt) -> Int32 {
    unsafe chost_register_translation(start, byteCount, entries, counter)
  }

  var count: Int { unsafe Int(counter.pointee) }

  /// Notes an instruction by its offset in the range. Calls come in the order of offsets. A site has at most two
  /// (in line and out of line), one a table, so that there is room as long as there is for sites.
  func append(_ instruction: UInt32, site: UInt32) {
    unsafe entries[count] = chost_translated_fault(instruction: instruction, stub: 0, site: site)
    unsafe counter.pointee += 1
  }

  /// Forgets the notes from a number on.
  func drop(from number: Int) { unsafe counter.pointee = UInt32(number) }

  func site(_ number: Int) -> UInt32 { unsafe entries[number].site }

  /// Completes a note: where code goes on, as an offset in the range, modulo 2³².
  func setStub(_ number: Int, _ stub: UInt32) { unsafe entries[number].stub = stub }
}
