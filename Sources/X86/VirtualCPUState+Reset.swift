extension VirtualCPUState {
  /// The state after power-up, RESET or INIT (SDM 3A table 9-1): real mode at F000:FFF0.
  ///
  /// - Parameter signature: what RDX holds after reset: family, model and stepping, CPUID.1:EAX.
  public static func reset(signature: UInt32) -> VirtualCPUState {
    let data = SegmentState(selector: 0, base: 0, limit: 0xFFFF, attributes: 0x93)
    let code = SegmentState(
      selector: 0xF000, base: 0xFFFF_0000, limit: 0xFFFF, attributes: 0x9B)
    var general = [UInt64](repeating: 0, count: 16)
    general[Int(GeneralRegister.rdx.rawValue)] = UInt64(signature)
    return VirtualCPUState(
      generalRegisters: general, instructionPointer: 0xFFF0, flags: .alwaysOne,
      segments: [data, code, data, data, data, data],
      taskRegister: SegmentState(selector: 0, base: 0, limit: 0xFFFF, attributes: 0x8B),
      localDescriptorTable: SegmentState(selector: 0, base: 0, limit: 0xFFFF, attributes: 0x82),
      globalDescriptorTable: DescriptorTableState(base: 0, limit: 0xFFFF),
      interruptDescriptorTable: DescriptorTableState(base: 0, limit: 0xFFFF),
      cr0: [.extensionType, .notWriteThrough, .cacheDisable], cr2: 0, cr3: 0, cr4: [], cr8: 0,
      xcr0: 1, efer: [], debugRegisters: [0, 0, 0, 0, 0xFFFF_0FF0, 0x400],
      extendedState: initialExtendedState, modelSpecificRegisters: [], localAPIC: [],
      activity: .runnable, pending: PendingEvents())
  }

  /// An XSAVE area with FCW 0x37F and MXCSR 0x1F80, everything else clear.
  public static let initialExtendedState: [UInt8] = {
    var area = [UInt8](repeating: 0, count: 832)
    area[0] = 0x7F
    area[1] = 0x03
    area[24] = 0x80
    area[25] = 0x1F
    return area
  }()
}
