import CHost
import GuestMemory

/// Keeping stores away from pages with code: see `CodeTracker`.
extension CPU {
  var attentionWord: UnsafeMutablePointer<UInt32> {
    // SAFETY: the state lives as long as the vCPU, at one address.
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.attention) { unsafe $0 }
  }

  /// Guest code is executed from here on.
  func enterGuest() {
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.insideGuest) {
      // A full barrier: either this is seen by who closes a page, or its closing is seen below.
      _ = unsafe chost_exchange32($0, 1)
    }
    carryOutClosings()
  }

  func leaveGuest() {
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.insideGuest) {
      unsafe chost_store_release32($0, 0)
    }
  }

  /// Closes the TLB's way to pages that have got code.
  func carryOutClosings() {
    let (pages, count) = env.memory.codeTracker.closings(since: state.closingCount)
    guard count != state.closingCount else { return }
    if let pages {
      for page in pages { env.tlb.closeToWrites(ramPage: UInt64(page)) }
    } else {
      env.tlb.closeToWrites(ramPage: nil)
    }
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.closingCount) {
      _ = unsafe chost_exchange64($0, count)
    }
  }

  /// Waits until no other vCPU can store to the pages of a closing unnoticed.
  @inline(never)
  func awaitClosing(_ number: UInt64) {
    var turns = 0
    while unsafe !env.memory.codeTracker.isOver(closing: number, for: attentionWord) {
      // The others may be waiting for this one.
      carryOutClosings()
      turns += 1
      if turns < 2000 { chost_pause() } else { chost_sleep_briefly() }
    }
  }
}
