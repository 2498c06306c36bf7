internal import CHost
internal import EngineInterface
internal import X86

extension SegmentState {
  init(_ segment: kvm_segment) {
    var attributes = UInt32(segment.type & 0xF) | UInt32(segment.s & 1) << 4
    attributes |= UInt32(segment.dpl & 3) << 5 | UInt32(segment.present & 1) << 7
    attributes |= UInt32(segment.avl & 1) << 12 | UInt32(segment.l & 1) << 13
    attributes |= UInt32(segment.db & 1) << 14 | UInt32(segment.g & 1) << 15
    attributes |= UInt32(segment.unusable & 1) << 16
    self.init(
      selector: segment.selector, base: segment.base, limit: segment.limit, attributes: attributes)
  }
}

extension kvm_segment {
  init(_ segment: SegmentState) {
    func field(_ shift: UInt32, _ mask: UInt32) -> UInt8 {
      UInt8(truncatingIfNeeded: segment.attributes >> shift & mask)
    }
    self.init()
    base = segment.base
    limit = segment.limit
    selector = segment.selector
    type = field(0, 0xF)
    s = field(4, 1)
    dpl = field(5, 3)
    present = field(7, 1)
    avl = field(12, 1)
    l = field(13, 1)
    db = field(14, 1)
    g = field(15, 1)
    unusable = field(16, 1)
  }
}

extension kvm_dtable {
  fileprivate init(_ table: DescriptorTableState) {
    self.init()
    base = table.base
    limit = table.limit
  }
}

extension kvm_sregs {
  /// All but the APIC's base; interrupts in flight travel with the events.
  mutating func take(_ state: VirtualCPUState) {
    es = kvm_segment(state.segments[0])
    cs = kvm_segment(state.segments[1])
    ss = kvm_segment(state.segments[2])
    ds = kvm_segment(state.segments[3])
    fs = kvm_segment(state.segments[4])
    gs = kvm_segment(state.segments[5])
    tr = kvm_segment(state.taskRegister)
    ldt = kvm_segment(state.localDescriptorTable)
    gdt = kvm_dtable(state.globalDescriptorTable)
    idt = kvm_dtable(state.interruptDescriptorTable)
    cr0 = state.cr0.rawValue
    cr2 = state.cr2
    cr3 = state.cr3
    cr4 = state.cr4.rawValue
    cr8 = state.cr8
    efer = state.efer.rawValue
    interrupt_bitmap = (0, 0, 0, 0)
    if let base = state.modelSpecificRegisters.first(where: { $0.index == .apicBase }) {
      apic_base = base.value
    }
  }
}

extension kvm_regs {
  /// By their encoding.
  var inOrder: [UInt64] {
    [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15]
  }

  init(_ state: VirtualCPUState) {
    let values = state.generalRegisters
    self.init(
      rax: values[0], rbx: values[3], rcx: values[1], rdx: values[2], rsi: values[6],
      rdi: values[7], rsp: values[4], rbp: values[5], r8: values[8], r9: values[9],
      r10: values[10], r11: values[11], r12: values[12], r13: values[13], r14: values[14],
      r15: values[15], rip: state.instructionPointer, rflags: state.flags.rawValue)
  }
}

extension PendingEvents {
  init(_ events: kvm_vcpu_events) {
    let hasException = events.exception.injected != 0
    self.init(
      exception: hasException ? events.exception.nr : nil,
      exceptionErrorCode: hasException && events.exception.has_error_code != 0
        ? events.exception.error_code : nil,
      interrupt: events.interrupt.injected != 0 ? events.interrupt.nr : nil,
      nonMaskableInterruptPending: events.nmi.pending != 0 || events.nmi.injected != 0,
      nonMaskableInterruptMasked: events.nmi.masked != 0,
      interruptShadow: events.interrupt.shadow != 0)
  }
}

extension kvm_vcpu_events {
  init(_ pending: PendingEvents) {
    self.init()
    exception.injected = pending.exception == nil ? 0 : 1
    exception.nr = pending.exception ?? 0
    exception.has_error_code = pending.exceptionErrorCode == nil ? 0 : 1
    exception.error_code = pending.exceptionErrorCode ?? 0
    interrupt.injected = pending.interrupt == nil ? 0 : 1
    interrupt.nr = pending.interrupt ?? 0
    // KVM's bits: 1 MOV SS, 2 STI. The state does not tell them apart; STI blocks the less.
    interrupt.shadow = pending.interruptShadow ? 2 : 0
    nmi.pending = pending.nonMaskableInterruptPending ? 1 : 0
    nmi.masked = pending.nonMaskableInterruptMasked ? 1 : 0
    // KVM_VCPUEVENT_VALID_NMI_PENDING and VALID_SHADOW.
    flags = 1 | 4
  }
}

extension ActivityState {
  /// `KVM_MP_STATE_…`: 0 runnable, 1 uninitialized, 2 INIT received, 3 halted, 4 SIPI received.
  init(kernel value: UInt32) {
    switch value {
    case 1: self = .waitingForStartup
    case 2: self = .initReceived
    case 3: self = .halted
    default: self = .runnable
    }
  }

  var kernelValue: UInt32 {
    switch self {
    case .runnable, .shutdown: 0
    case .waitingForStartup: 1
    case .initReceived: 2
    case .halted: 3
    }
  }
}

/// The XSAVE area, in standard format.
enum ExtendedStateArea {
  /// x87, SSE and AVX: as much as is always there.
  private static let minimumByteCount = 832

  /// As many bytes as the components in use need.
  static func bytes(of area: kvm_xsave) -> [UInt8] {
    // SAFETY: the structure is an array of words.
    let all = unsafe withUnsafeBytes(of: area) { unsafe [UInt8]($0) }
    let components = all[512..<520].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return components & ~7 == 0 ? Array(all[..<minimumByteCount]) : all
  }

  static func area(of bytes: [UInt8]) -> kvm_xsave? {
    guard bytes.count >= 576, bytes.count <= MemoryLayout<kvm_xsave>.size else { return nil }
    var area = kvm_xsave()
    // SAFETY: no more bytes than the structure has, as just checked.
    unsafe withUnsafeMutableBytes(of: &area) { unsafe $0.copyBytes(from: bytes) }
    return area
  }
}
