public import MachineTypes
import Synchronization

/// One device on a bus: the device, its lock and, for a `TimedDevice`, its timer.
///
/// Lock order: a device's lock, then that of an interrupt controller, then the engine's. Interrupt
/// controllers call no device, so the order has no circle.
public final class AttachedDevice<Device: Sendable>: Sendable {
  private struct Contents: Sendable {
    var device: Device
    var timer: (any MachineTimer)?
    var armedDeadline: VirtualInstant?
  }

  private let contents: Mutex<Contents>
  private let deadline: @Sendable (borrowing Device) -> VirtualInstant?

  /// Holds a device that acts only when it is accessed.
  public init(_ device: Device) {
    contents = Mutex(Contents(device: device, timer: nil, armedDeadline: nil))
    deadline = { _ in nil }
  }

  /// Holds a device that also acts at times of its own, as told by `clock`.
  public init(_ device: Device, clock: any MachineClock) where Device: TimedDevice {
    contents = Mutex(Contents(device: device, timer: nil, armedDeadline: nil))
    deadline = { $0.nextDeadline }
    let timer = clock.makeTimer { [weak self] in self?.timerFired() }
    contents.withLock {
      $0.timer = timer
      rearm(&$0)
    }
  }

  /// Gives the host side access to the device, under its lock; sets its timer anew afterwards.
  public func withDevice<Result: Sendable, Failure: Error>(
    _ body: (inout Device) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try contents.withLock { (contents) throws(Failure) -> Result in
      defer { rearm(&contents) }
      return try body(&contents.device)
    }
  }

  private func timerFired() where Device: TimedDevice {
    contents.withLock {
      $0.armedDeadline = nil
      $0.device.advance()
      rearm(&$0)
    }
  }

  private func rearm(_ contents: inout Contents) {
    guard let timer = contents.timer else { return }
    let next = deadline(contents.device)
    guard next != contents.armedDeadline else { return }
    contents.armedDeadline = next
    if let next { timer.arm(at: next) } else { timer.disarm() }
  }
}
