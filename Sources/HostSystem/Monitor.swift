private import Glibc

/// A value behind a lock, with a condition that threads can wait on until a moment of
/// CLOCK_MONOTONIC.
@safe public final class Monitor<Value: Sendable>: @unchecked Sendable {
  private var value: Value
  // Allocated, since a POSIX lock must not move.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>

  public init(_ value: Value) {
    self.value = value
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(condition, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  /// Runs `body` with the lock held. Not reentrant.
  public func withLock<Result, Failure: Error>(
    _ body: (inout Value) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// Runs `body` with the lock held, unless another thread has it: then nothing happens.
  public func withLockIfFree<Result>(_ body: (inout Value) -> Result?) -> Result? {
    guard unsafe pthread_mutex_trylock(mutex) == 0 else { return nil }
    defer { unsafe pthread_mutex_unlock(mutex) }
    return body(&value)
  }

  /// Wakes all that wait.
  public func notify() {
    unsafe pthread_cond_broadcast(condition)
  }

  /// Runs `body` with the lock held and wakes all that wait.
  public func update<Result>(_ body: (inout Value) -> Result) -> Result {
    withLock { value in
      let result = body(&value)
      unsafe pthread_cond_broadcast(condition)
      return result
    }
  }

  /// Runs `body` with the lock held and wakes one of those that wait, where one is enough.
  public func updateForOne<Result>(_ body: (inout Value) -> Result) -> Result {
    withLock { value in
      let result = body(&value)
      unsafe pthread_cond_signal(condition)
      return result
    }
  }

  /// Waits until `body`, called with the lock held, returns a value.
  public func wait<Result>(until body: (inout Value) -> Result?) -> Result {
    withLock { value in
      while true {
        if let result = body(&value) { return result }
        unsafe pthread_cond_wait(condition, mutex)
      }
    }
  }

  /// Waits for `update` to be called, or for a deadline that `deadline` computes with the lock held;
  /// returns at once when it yields a moment that has passed.
  ///
  /// - Parameter deadline: nanoseconds of CLOCK_MONOTONIC; `nil` for no limit.
  public func waitForUpdate(deadline: (inout Value) -> UInt64?) {
    withLock { value in
      guard let nanoseconds = deadline(&value) else {
        unsafe pthread_cond_wait(condition, mutex)
        return
      }
      var time = timespec(
        tv_sec: Int(truncatingIfNeeded: nanoseconds / 1_000_000_000),
        tv_nsec: Int(nanoseconds % 1_000_000_000))
      unsafe pthread_cond_timedwait(condition, mutex, &time)
    }
  }
}
