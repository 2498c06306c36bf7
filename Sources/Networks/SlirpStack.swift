internal import CSlirp
import DeviceModel
internal import Glibc
import HostSystem

/// libslirp's stack. Once it runs, one thread alone uses it.
@safe final class SlirpStack: @unchecked Sendable {
  /// Of IP packets in both directions: the largest that libslirp can do.
  static let maximumTransmissionUnit: UInt16 = 32_768

  private var stack: OpaquePointer?
  private var polls = PollSet()
  private var timers: [SlirpTimer] = []
  private var assembly = DatagramAssembly()
  /// What the device refused, in order.
  private var undelivered: [NetworkPacket] = []
  private var deliver: (NetworkPacket) -> Bool = { _ in true }
  private let callbacks: UnsafeMutablePointer<SlirpCb>

  /// Beyond this, packets are dropped; TCP sends them again.
  private static let mostUndelivered = 256

  init(_ configuration: UserNetwork.Configuration) throws(NetworkError) {
    // SAFETY: lives as long as this object, which outlives the stack.
    unsafe callbacks = .allocate(capacity: 1)
    unsafe callbacks.initialize(to: Self.makeCallbacks())
    var settings = unsafe SlirpConfig()
    unsafe settings.version = 4
    unsafe settings.restricted = configuration.isRestricted ? 1 : 0
    unsafe settings.in_enabled = true
    unsafe settings.vnetwork = IPv4Address(10, 0, 2, 0).raw
    unsafe settings.vnetmask = IPv4Address(255, 255, 255, 0).raw
    unsafe settings.vhost = IPv4Address(10, 0, 2, 2).raw
    unsafe settings.vdhcp_start = IPv4Address(10, 0, 2, 15).raw
    unsafe settings.vnameserver = IPv4Address(10, 0, 2, 3).raw
    unsafe settings.in6_enabled = configuration.hasIPv6
    if configuration.hasIPv6 {
      unsafe inet_pton(AF_INET6, "fec0::", &settings.vprefix_addr6)
      unsafe settings.vprefix_len = 64
      unsafe inet_pton(AF_INET6, "fec0::2", &settings.vhost6)
      unsafe inet_pton(AF_INET6, "fec0::3", &settings.vnameserver6)
    }
    unsafe settings.if_mtu = Int(Self.maximumTransmissionUnit)
    unsafe settings.if_mru = Int(Self.maximumTransmissionUnit)
    // SAFETY: the stack calls back only from within calls that `self` makes.
    let made = unsafe slirp_new(&settings, callbacks, Unmanaged.passUnretained(self).toOpaque())
    guard let made = unsafe made else { throw .stackFailed }
    unsafe stack = made
    for forward in configuration.forwards {
      let result = unsafe slirp_add_hostfwd(
        made, forward.transport == .udp ? 1 : 0, forward.hostAddress.raw,
        Int32(forward.hostPort), IPv4Address(10, 0, 2, 15).raw, Int32(forward.guestPort))
      guard result >= 0 else {
        throw .cannotForward(forward, reason: "\(HostError.current("bind"))")
      }
    }
  }

  deinit {
    if let stack = unsafe stack { unsafe slirp_cleanup(stack) }
    unsafe callbacks.deinitialize(count: 1)
    unsafe callbacks.deallocate()
  }

  /// Passes packets on until it is to stop.
  func run(
    outgoing: PacketQueue, wake: WakeDescriptor,
    deliver: @escaping (NetworkPacket) -> Bool, isStopping: () -> Bool
  ) {
    self.deliver = deliver
    defer { self.deliver = { _ in true } }
    while !isStopping() {
      for packet in outgoing.takeAll() { input(packet) }
      let first = undelivered.firstIndex { !deliver($0) } ?? undelivered.count
      undelivered.removeFirst(first)

      polls.removeAll()
      polls.add(wake.descriptor, .readable)
      var timeout = UInt32.max
      // What cannot be delivered is left in the host's sockets, where it holds the senders back.
      let takesMore = undelivered.isEmpty
      if takesMore { fill(&timeout) } else { timeout = 100 }
      timeout = min(timeout, timers.map { $0.milliseconds(after: now()) }.min() ?? .max)
      let isSound = polls.wait(milliseconds: timeout == .max ? nil : timeout)
      if !polls[0].isEmpty { wake.clear() }
      if takesMore { poll(isSound: isSound) }
      fireTimers()
    }
  }

  private func input(_ packet: NetworkPacket) {
    guard var packet = assembly.add(packet) else { return }
    packet.completeChecksum()
    let bytes = packet.bytes
    unsafe bytes.withUnsafeBufferPointer {
      // SAFETY: the stack copies what it keeps.
      unsafe slirp_input(stack, $0.baseAddress, Int32($0.count))
    }
  }

  private func fill(_ timeout: inout UInt32) {
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe slirp_pollfds_fill(
      stack, &timeout,
      { descriptor, events, context in
        unsafe SlirpStack.at(context).polls.add(descriptor, SlirpStack.events(events)).asInt32
      }, context)
  }

  private func poll(isSound: Bool) {
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe slirp_pollfds_poll(
      stack, isSound ? 0 : 1,
      { number, context in
        unsafe SlirpStack.flags(SlirpStack.at(context).polls[Int(number)])
      }, context)
  }

  fileprivate func receive(_ bytes: [UInt8]) {
    var packet = NetworkPacket(bytes: bytes)
    // The stack made the checksums itself.
    packet.isChecksumValid = true
    if undelivered.isEmpty, deliver(packet) { return }
    if undelivered.count < Self.mostUndelivered { undelivered.append(packet) }
  }

  // MARK: Timers

  private func now() -> UInt64 { HostClock.monotonicNanoseconds() / 1_000_000 }

  private func fireTimers() {
    let now = now()
    for timer in timers where timer.deadline.map({ $0 <= now }) == true {
      timer.deadline = nil
      unsafe slirp_handle_timer(stack, timer.identifier, timer.argument)
    }
  }

  fileprivate func add(_ timer: SlirpTimer) { timers.append(timer) }
  fileprivate func remove(_ timer: SlirpTimer) { timers.removeAll { $0 === timer } }

  // MARK: Callbacks

  fileprivate static func at(_ context: UnsafeMutableRawPointer?) -> SlirpStack {
    // SAFETY: the context is always the object that made the stack.
    unsafe Unmanaged<SlirpStack>.fromOpaque(context!).takeUnretainedValue()
  }

  private static func makeCallbacks() -> SlirpCb {
    var callbacks = SlirpCb()
    unsafe callbacks.send_packet = { bytes, count, context in
      guard let bytes = unsafe bytes, count > 0 else { return 0 }
      // SAFETY: the stack passes `count` readable bytes.
      let frame = unsafe [UInt8](UnsafeRawBufferPointer(start: bytes, count: count))
      unsafe SlirpStack.at(context).receive(frame)
      return count
    }
    unsafe callbacks.guest_error = { _, _ in }
    unsafe callbacks.clock_get_ns = { _ in
      Int64(truncatingIfNeeded: HostClock.monotonicNanoseconds())
    }
    unsafe callbacks.timer_new_opaque = { identifier, argument, context in
      let timer = unsafe SlirpTimer(identifier: identifier, argument: argument)
      unsafe SlirpStack.at(context).add(timer)
      return unsafe Unmanaged.passUnretained(timer).toOpaque()
    }
    unsafe callbacks.timer_free = { timer, context in
      guard let timer = unsafe timer else { return }
      // SAFETY: a timer that `timer_new_opaque` gave out; the stack's list keeps it until now.
      let object = unsafe Unmanaged<SlirpTimer>.fromOpaque(timer).takeUnretainedValue()
      unsafe SlirpStack.at(context).remove(object)
    }
    unsafe callbacks.timer_mod = { timer, milliseconds, _ in
      guard let timer = unsafe timer else { return }
      // SAFETY: as above.
      let object = unsafe Unmanaged<SlirpTimer>.fromOpaque(timer).takeUnretainedValue()
      object.deadline = UInt64(max(0, milliseconds))
    }
    unsafe callbacks.register_poll_fd = { _, _ in }
    unsafe callbacks.unregister_poll_fd = { _, _ in }
    unsafe callbacks.notify = { _ in }
    return callbacks
  }

  private static let eventBits: [(PollSet.Events, Int32)] = [
    (.readable, Int32(SLIRP_POLL_IN)), (.writable, Int32(SLIRP_POLL_OUT)),
    (.urgent, Int32(SLIRP_POLL_PRI)), (.error, Int32(SLIRP_POLL_ERR)),
    (.hangUp, Int32(SLIRP_POLL_HUP)),
  ]

  private static func events(_ flags: Int32) -> PollSet.Events {
    eventBits.reduce(into: []) { if flags & $1.1 != 0 { $0.insert($1.0) } }
  }

  private static func flags(_ events: PollSet.Events) -> Int32 {
    eventBits.reduce(into: 0) { if events.contains($1.0) { $0 |= $1.1 } }
  }
}

/// A timer of the stack's, in milliseconds of its clock.
@safe private final class SlirpTimer {
  let identifier: SlirpTimerId
  let argument: UnsafeMutableRawPointer?
  var deadline: UInt64?

  init(identifier: SlirpTimerId, argument: UnsafeMutableRawPointer?) {
    self.identifier = identifier
    unsafe self.argument = argument
  }

  func milliseconds(after now: UInt64) -> UInt32 {
    guard let deadline else { return .max }
    return UInt32(clamping: deadline > now ? deadline - now : 0)
  }
}

extension IPv4Address {
  fileprivate var raw: in_addr { in_addr(s_addr: rawValue.bigEndian) }
}

extension Int {
  fileprivate var asInt32: Int32 { Int32(clamping: self) }
}
