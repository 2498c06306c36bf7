private import Glibc

/// A binary semaphore: `signal` lets one `wait` through, and is remembered if none waits.
@safe public final class HostEvent: @unchecked Sendable {
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let condition: UnsafeMutablePointer<pthread_cond_t>
  private var isSignalled = false

  public init() {
    // SAFETY: initialised here, destroyed in deinit, never moved.
    unsafe mutex = .allocate(capacity: 1)
    unsafe condition = .allocate(capacity: 1)
    unsafe pthread_mutex_init(mutex, nil)
    unsafe pthread_cond_init(condition, nil)
  }

  deinit {
    unsafe pthread_cond_destroy(condition)
    unsafe pthread_mutex_destroy(mutex)
    unsafe condition.deallocate()
    unsafe mutex.deallocate()
  }

  public func signal() {
    unsafe pthread_mutex_lock(mutex)
    isSignalled = true
    unsafe pthread_cond_signal(condition)
    unsafe pthread_mutex_unlock(mutex)
  }

  public func wait() {
    unsafe pthread_mutex_lock(mutex)
    while !isSignalled { unsafe pthread_cond_wait(condition, mutex) }
    isSignalled = false
    unsafe pthread_mutex_unlock(mutex)
  }
}
