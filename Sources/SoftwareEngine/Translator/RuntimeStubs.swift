import CHost

/// The code that every translated block shares: the way in, the way out, and the vector registers' moves.
@safe struct RuntimeStubs {
  /// `(state, target, registers)`: loads the guest's registers and jumps; returns when code leaves at a site.
  /// `registers`: which beside the general ones (`LiveRegisters`).
  var enter: UnsafeMutablePointer<UInt8>
  /// Where code jumps to with a site's number in ECX.
  var exit: UnsafeMutablePointer<UInt8>
  /// Loads XMM or YMM registers and MXCSR; touches RCX and no flags.
  var loadNarrow: UnsafeMutablePointer<UInt8>
  var loadWide: UnsafeMutablePointer<UInt8>
  /// Loads the x87 registers; touches RCX and no flags.
  var loadX87: UnsafeMutablePointer<UInt8>

  /// Looks for the page of R14 in the TLB's second level, for a read and for a write by each of the first
  /// level's sets (set + 3 for writes); RCX is 0 afterwards if the access may be tried again. Nothing else changes.
  var refills: InlineArray<6, UnsafeMutablePointer<UInt8>>
  /// The same after a short look-up: RCX is the entry's index, whose tag R14 is rid of first.
  var shortRefills: InlineArray<6, UnsafeMutablePointer<UInt8>>
  /// Enters the target in R14, of an indirect branch in code of the key in ECX, in the jump table; RCX is 0
  /// afterwards if the branch may look again. Nothing else changes.
  var findTarget: UnsafeMutablePointer<UInt8>
  /// Executes MOVS or STOS as ECX says (`chost_string`); RCX is 0 afterwards if the interpreter need not.
  var string: UnsafeMutablePointer<UInt8>

  init(_ code: inout Assembler, hasAVX: Bool) {
    // What is called finds its return address on the stack.
    code.pushed = 8
    unsafe refills = .init(repeating: code.cursor)
    unsafe shortRefills = .init(repeating: code.cursor)
    for number in 0..<6 {
      let set = number % 3
      let isWrite = number >= 3
      unsafe shortRefills[number] = code.cursor
      let tags =
        VirtualCPUMemory.Offset.tlb + set * TLBSet.byteCount
        + (isWrite ? TLBSet.writeTags : TLBSet.readTags)
      code.legacy(
        HostOpcode(opcode: 0x2B, isWide: true), Host.r14, .stateArray(tags, index: Host.rcx))
      unsafe refills[number] = code.cursor
      RuntimeStubs.emitRefill(&code, setAndWrite: UInt64(set | (isWrite ? 4 : 0)))
    }

    unsafe findTarget = code.cursor
    RuntimeStubs.emitFindTarget(&code)
    unsafe string = code.cursor
    RuntimeStubs.emitString(&code)

    unsafe loadNarrow = code.cursor
    RuntimeStubs.emitLoad(&code, isWide: false)
    unsafe loadWide = code.cursor
    RuntimeStubs.emitLoad(&code, isWide: hasAVX)
    let save = unsafe code.cursor
    RuntimeStubs.emitSave(&code, hasAVX: hasAVX)
    unsafe loadX87 = code.cursor
    RuntimeStubs.emitLoadX87(&code)
    let saveX87 = unsafe code.cursor
    RuntimeStubs.emitSaveX87(&code)
    code.pushed = 0
    unsafe exit = code.cursor
    unsafe RuntimeStubs.emitExit(&code, save, saveX87)
    unsafe enter = code.cursor
    unsafe RuntimeStubs.emitEnter(&code, loadNarrow, loadWide, loadX87)
  }

  /// Saves RBX, RBP, R12…R15.
  private static func emitEnter(
    _ code: inout Assembler, _ narrow: UnsafeMutablePointer<UInt8>,
    _ wide: UnsafeMutablePointer<UInt8>, _ x87: UnsafeMutablePointer<UInt8>
  ) {
    code.bytes(0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57)  // push
    // The stack pointer becomes the state's.
    let frame = Int32(TranslationState.byteCount)
    code.address(Host.rcx, base: Host.rdi, -frame)
    code.store(Host.rsp, .base(Host.rcx, Int32(StateOffset.hostStack) + frame))
    code.move(Host.rsp, Host.rcx)
    code.store(6, .state(StateOffset.target))
    code.bytes(0xF6, 0xC2, LiveRegisters.x87, 0x74, 0x05, 0xE8)  // test dl, …; jz +5; call
    _ = unsafe code.displacement(to: x87)
    code.bytes(0x83, 0xE2, 0x03, 0x74, 0x11)  // and edx, 3; jz +17
    code.bytes(0x83, 0xFA, 0x02, 0x74, 0x07)  // cmp edx, 2; je +7
    code.byte(0xE8)  // call
    _ = unsafe code.displacement(to: narrow)
    code.bytes(0xEB, 0x05)  // jmp +5
    code.byte(0xE8)
    _ = unsafe code.displacement(to: wide)
    code.load(Host.rax, .state(StateOffset.flags))
    code.bytes(0x04, 0x7F, 0x9E)  // add al, 127; sahf
    code.load(Host.count, .state(StateOffset.count))
    for guest in UInt8(0)..<16 where Host.register(guest) == nil {
      code.load(Host.rcx, .state(StateOffset.saved(guest)))
      code.store(Host.rcx, .state(StateOffset.register(guest)))
    }
    for guest in UInt8(0)..<16 {
      if let host = Host.register(guest) { code.load(host, .state(StateOffset.saved(guest))) }
    }
    code.legacy(HostOpcode(opcode: 0xFF), 4, .state(StateOffset.target))  // jmp
  }

  private static func emitExit(
    _ code: inout Assembler, _ save: UnsafeMutablePointer<UInt8>,
    _ saveX87: UnsafeMutablePointer<UInt8>
  ) {
    code.store32(Host.rcx, .state(StateOffset.site))
    for guest in UInt8(0)..<16 {
      if let host = Host.register(guest) { code.store(host, .state(StateOffset.saved(guest))) }
    }
    for guest in UInt8(0)..<16 where Host.register(guest) == nil {
      code.load(Host.rcx, .state(StateOffset.register(guest)))
      code.store(Host.rcx, .state(StateOffset.saved(guest)))
    }
    code.bytes(0x9F, 0x0F, 0x90, 0xC0)  // lahf; seto al
    code.store(Host.rax, .state(StateOffset.flags))
    code.store(Host.count, .state(StateOffset.count))
    code.store(Host.r14, .state(StateOffset.scratch))
    unsafe emitCallUnless(&code, StateOffset.vectorsAbsent, save)
    unsafe emitCallUnless(&code, StateOffset.x87Absent, saveX87)
    code.load(Host.rsp, .state(StateOffset.hostStack))
    code.bytes(0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3)  // pop; ret
  }

  /// Calls a stub if the state's field is 0.
  private static func emitCallUnless(
    _ code: inout Assembler, _ field: Int, _ stub: UnsafeMutablePointer<UInt8>
  ) {
    code.legacy(HostOpcode(opcode: 0x83), 7, .state(field))  // cmp
    code.byte(0)
    code.bytes(0x75, 0x05, 0xE8)  // jne +5; call
    _ = unsafe code.displacement(to: stub)
  }

  private static func emitRefill(_ code: inout Assembler, setAndWrite: UInt64) {
    let function:
      @convention(c) (
        UnsafeMutableRawPointer?, UnsafeMutablePointer<chost_tlb_level2>?, UInt64, UInt64
      ) -> UInt64 = unsafe chost_tlb_refill
    emitCall(&code, unsafe unsafeBitCast(function, to: UInt.self)) {
      $0.load(Host.rdi, .state(StateOffset.tlbSets))
      $0.load(6, .state(StateOffset.level2))
      $0.move(2, Host.r14)
      $0.moveImmediate(1, setAndWrite)
    }
  }
  private static func emitFindTarget(_ code: inout Assembler) {
    let function:
      @convention(c) (
        UnsafeMutablePointer<chost_jumps>?, UnsafeMutableRawPointer?, UInt64, UInt64
      ) -> UInt64 = unsafe chost_find_target
    emitCall(&code, unsafe unsafeBitCast(function, to: UInt.self)) {
      $0.load(Host.rdi, .state(StateOffset.jumps))
      $0.load(6, .state(StateOffset.tlbSets))
      $0.move(2, Host.r14)
    }
  }

  private static func emitString(_ code: inout Assembler) {
    let function:
      @convention(c) (
        UnsafeMutablePointer<CChar>?, UnsafeMutableRawPointer?,
        UnsafeMutablePointer<chost_tlb_level2>?, UInt64
      ) -> UInt64 = unsafe chost_string
    let registers: [UInt8] = [0, 1, 6, 7]
    for guest in registers {
      code.store(Host.register(guest) ?? 0, .state(StateOffset.saved(guest)))
    }
    emitCall(&code, unsafe unsafeBitCast(function, to: UInt.self), returns: false) {
      $0.load(Host.rdi, .state(StateOffset.state))
      $0.load(6, .state(StateOffset.tlbSets))
      $0.load(2, .state(StateOffset.level2))
    }
    for guest in registers.dropFirst() {
      code.load(Host.register(guest) ?? 0, .state(StateOffset.saved(guest)))
    }
    code.byte(0xC3)  // ret
  }

  /// Calls a C function whose fourth argument is in RCX; `arguments` loads the others. Its result goes to RCX;
  /// flags and registers stay as they are. The stack is aligned at the call, as everywhere in translated code.
  private static func emitCall(
    _ code: inout Assembler, _ function: UInt, returns: Bool = true,
    _ arguments: (inout Assembler) -> Void
  ) {
    code.bytes(0x50, 0x9F, 0x0F, 0x90, 0xC0, 0x50)  // push rax; lahf; seto al; push rax
    code.bytes(0x52, 0x56, 0x57)  // push rdx, rsi, rdi
    code.bytes(0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53)  // push r8 … r11
    code.pushed += 72
    arguments(&code)
    code.pushed -= 72
    code.moveImmediate(Host.rax, UInt64(function))
    code.bytes(0xFF, 0xD0)  // call rax
    code.move(Host.rcx, Host.rax)
    code.bytes(0x41, 0x5B, 0x41, 0x5A, 0x41, 0x59, 0x41, 0x58)  // pop r11 … r8
    code.bytes(0x5F, 0x5E, 0x5A)  // pop rdi, rsi, rdx
    code.bytes(0x58, 0x04, 0x7F, 0x9E, 0x58)  // pop rax; add al, 127; sahf; pop rax
    if returns { code.byte(0xC3) }
  }

  private static func emitLoad(_ code: inout Assembler, isWide: Bool) {
    code.load(Host.rcx, .state(StateOffset.extended))
    code.bytes(0x0F, 0xAE)  // stmxcsr
    code.modifyRCX(3, ExtendedState.Offset.hostMXCSR)
    code.bytes(0x0F, 0xAE)  // ldmxcsr
    code.modifyRCX(2, ExtendedState.Offset.mxcsr)
    for number in UInt8(0)..<16 { code.moveVector(number, isStore: false, isWide: isWide) }
    code.storeState32(StateOffset.vectorsAbsent, 0)
    code.storeState32(StateOffset.vectorsAreWide, isWide ? 1 : 0)
    code.byte(0xC3)
  }

  private static func emitSave(_ code: inout Assembler, hasAVX: Bool) {
    code.load(Host.rcx, .state(StateOffset.extended))
    code.bytes(0x0F, 0xAE)
    code.modifyRCX(3, ExtendedState.Offset.mxcsr)
    code.bytes(0x0F, 0xAE)
    code.modifyRCX(2, ExtendedState.Offset.hostMXCSR)
    code.storeState32(StateOffset.vectorsAbsent, 1)
    if hasAVX {
      code.legacy(HostOpcode(opcode: 0x83), 7, .state(StateOffset.vectorsAreWide))
      code.byte(0)
      code.bytes(0x0F, 0x84)  // je
      let narrow = unsafe code.displacement(to: nil)
      for number in UInt8(0)..<16 { code.moveVector(number, isStore: true, isWide: true) }
      code.bytes(0xC5, 0xF8, 0x77, 0xC3)  // vzeroupper; ret
      unsafe Assembler.patch(narrow, code.cursor)
    }
    for number in UInt8(0)..<16 { code.moveVector(number, isStore: true, isWide: false) }
    code.byte(0xC3)
  }
}

// MARK: x87

extension RuntimeStubs {
  /// XRSTOR64 of the x87 component alone, which leaves the vector registers where they are.
  private static func emitLoadX87(_ code: inout Assembler) {
    code.bytes(0x50, 0x52)  // push rax, rdx
    code.pushed += 16
    code.load(Host.rcx, .state(StateOffset.extended))
    code.bytes(0x48, 0xC7)  // mov qword [rcx + …], 1
    code.modifyRCX(0, ExtendedState.Offset.components)
    code.word32(1)
    code.moveImmediate(Host.rax, 1)
    code.moveImmediate(2, 0)
    code.bytes(0x48, 0x0F, 0xAE, 0x29)  // xrstor64 [rcx]
    code.storeState32(StateOffset.x87Absent, 0)
    code.bytes(0x5A, 0x58)  // pop rdx, rax
    code.pushed -= 16
    code.byte(0xC3)
  }

  /// Changes RAX, RCX and RDX. C expects the unit as FNINIT leaves it.
  private static func emitSaveX87(_ code: inout Assembler) {
    code.load(Host.rcx, .state(StateOffset.extended))
    code.moveImmediate(Host.rax, 1)
    code.moveImmediate(2, 0)
    code.bytes(0x48, 0x0F, 0xAE, 0x21, 0xDB, 0xE3)  // xsave64 [rcx]; fninit
    code.storeState32(StateOffset.x87Absent, 1)
    code.byte(0xC3)
  }
}

extension Assembler {
  /// ModRM and displacement of [RCX + displacement].
  fileprivate mutating func modifyRCX(_ reg: UInt8, _ displacement: Int) {
    byte(0x81 | (reg & 7) << 3)
    word32(Int32(truncatingIfNeeded: displacement))
  }

  /// MOVAPS or VMOVAPS between a vector register and its place in the `ExtendedState` in RCX.
  fileprivate mutating func moveVector(_ number: UInt8, isStore: Bool, isWide: Bool) {
    if isWide {
      bytes(0xC5, number >= 8 ? 0x7C : 0xFC)
    } else {
      if number >= 8 { byte(0x44) }
      byte(0x0F)
    }
    byte(isStore ? 0x29 : 0x28)
    modifyRCX(number, ExtendedState.Offset.vectors + Int(number) * 32)
  }
}
