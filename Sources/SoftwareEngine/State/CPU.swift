import CHost
import X86

/// A virtual CPU's state, reached through one pointer: the receiver of all interpreter functions.
///
/// `@safe`: the pointer is to one `CPUState` that its `SoftwareVirtualCPU` owns and outlives all use;
/// one thread at a time uses it, save for `attention`, which is touched atomically.
@safe struct CPU {
  let pointer: UnsafeMutablePointer<CPUState>
  /// What cannot be raw memory: APIC, clock, decoded blocks, memory.
  let environment: Unmanaged<CPUEnvironment>

  var state: CPUState {
    @inline(__always) _read { yield unsafe pointer.pointee }
    @inline(__always) nonmutating _modify { yield unsafe &pointer.pointee }
  }

  /// What only translated code and its entry and exit use, right before the state.
  var frame: UnsafeMutablePointer<TranslationState> {
    @inline(__always) get {
      // SAFETY: `VirtualCPUMemory` has it there.
      unsafe (UnsafeMutableRawPointer(pointer) - TranslationState.byteCount)
        .assumingMemoryBound(to: TranslationState.self)
    }
  }

  var translation: TranslationState {
    @inline(__always) _read { yield unsafe frame.pointee }
    @inline(__always) nonmutating _modify { yield unsafe &frame.pointee }
  }

  @inline(__always) var env: CPUEnvironment {
    unsafe environment._withUnsafeGuaranteedRef { $0 }
  }
}

// MARK: Registers

/// The unsigned integers that instructions compute with.
protocol GuestInteger: FixedWidthInteger, UnsignedInteger, BitwiseCopyable
where Magnitude == Self {
  associatedtype Signed: FixedWidthInteger & SignedInteger
  static func compareExchange(
    _ address: UnsafeMutableRawPointer, _ expected: inout Self, _ desired: Self
  ) -> Bool
}

extension UInt8: GuestInteger {
  typealias Signed = Int8
  @inline(__always)
  static func compareExchange(
    _ address: UnsafeMutableRawPointer, _ expected: inout Self, _ desired: Self
  ) -> Bool { unsafe chost_cas8(address, &expected, desired) }
}
extension UInt16: GuestInteger {
  typealias Signed = Int16
  @inline(__always)
  static func compareExchange(
    _ address: UnsafeMutableRawPointer, _ expected: inout Self, _ desired: Self
  ) -> Bool { unsafe chost_cas16(address, &expected, desired) }
}
extension UInt32: GuestInteger {
  typealias Signed = Int32
  @inline(__always)
  static func compareExchange(
    _ address: UnsafeMutableRawPointer, _ expected: inout Self, _ desired: Self
  ) -> Bool { unsafe chost_cas32(address, &expected, desired) }
}
extension UInt64: GuestInteger {
  typealias Signed = Int64
  @inline(__always)
  static func compareExchange(
    _ address: UnsafeMutableRawPointer, _ expected: inout Self, _ desired: Self
  ) -> Bool { unsafe chost_cas64(address, &expected, desired) }
}

extension CPU {
  /// Reads a register by its byte offset in `CPUState.registers`: 8 × number, + 1 for AH…BH.
  @inline(__always)
  func register<T: GuestInteger>(at offset: UInt8, _: T.Type = T.self) -> T {
    // SAFETY: `registers` is the first field; lowering makes offsets below 18 × 8.
    unsafe UnsafeRawPointer(pointer).loadUnaligned(fromByteOffset: Int(offset), as: T.self)
  }

  /// Writes a register by its byte offset; a 32-bit write clears the upper half.
  @inline(__always)
  func setRegister<T: GuestInteger>(at offset: UInt8, _ value: T) {
    // SAFETY: as above.
    let raw = unsafe UnsafeMutableRawPointer(pointer)
    if T.bitWidth == 32 {
      unsafe raw.storeBytes(
        of: UInt64(truncatingIfNeeded: value), toByteOffset: Int(offset), as: UInt64.self)
    } else {
      unsafe raw.storeBytes(of: value, toByteOffset: Int(offset), as: T.self)
    }
  }

  @inline(__always)
  subscript(register: GeneralRegister) -> UInt64 {
    get { self.register(at: register.rawValue &* 8) }
    nonmutating set { setRegister(at: register.rawValue &* 8, newValue) }
  }

  /// Reads or writes the low 2, 4 or 8 bytes of a register, as an address- or operand-sized use does.
  @inline(__always)
  func register(_ register: GeneralRegister, width: UInt8) -> UInt64 {
    self[register] & CPU.mask(width)
  }

  @inline(__always)
  func setRegister(_ register: GeneralRegister, width: UInt8, _ value: UInt64) {
    let offset = register.rawValue &* 8
    switch width {
    case 1: setRegister(at: offset, UInt8(truncatingIfNeeded: value))
    case 2: setRegister(at: offset, UInt16(truncatingIfNeeded: value))
    case 4: setRegister(at: offset, UInt32(truncatingIfNeeded: value))
    default: setRegister(at: offset, value)
    }
  }

  /// All ones in the low `width` bytes.
  @inline(__always)
  static func mask(_ width: UInt8) -> UInt64 { ~0 &>> (64 &- 8 &* UInt64(width)) }

  /// The instruction pointer (while a block runs: the block's start).
  @inline(__always)
  var rip: UInt64 {
    get { register(at: 17 * 8) }
    nonmutating set { setRegister(at: 17 * 8, newValue) }
  }
}

// MARK: Attention

extension CPU {
  /// Why the fast loop must be left; 0 for not at all.
  @inline(__always)
  var attention: UInt32 {
    // SAFETY: an aligned word, read by an atomic builtin, so that the compiler may not hoist it.
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.attention) {
      unsafe chost_load_relaxed32($0)
    }
  }

  @inline(__always)
  func raiseAttention(_ bits: UInt32) {
    // SAFETY: as above.
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.attention) {
      _ = unsafe chost_or32($0, bits)
    }
    // Translated code looks at these instead.
    unsafe frame.pointee.running = 0
    unsafe frame.pointee.jumpMask = 0
  }

  @inline(__always)
  func clearAttention(_ bits: UInt32) {
    // SAFETY: as above.
    unsafe withUnsafeMutablePointer(to: &pointer.pointee.attention) {
      _ = unsafe chost_and32($0, ~bits)
    }
  }
}

// MARK: Faults

/// How an instruction handler ended.
enum Status: UInt8 {
  /// Go on with the next instruction of the block.
  case next
  /// The handler set the instruction pointer; the block ends.
  case jump
  /// See `CPUState.stop`.
  case stop
}

extension CPU {
  /// Records an exception without an error code; returns the status for "stop".
  @inline(never)
  @discardableResult
  func raise(_ vector: ExceptionVector) -> Status {
    state.stop = .fault
    state.faultVector = vector.rawValue
    state.faultHasErrorCode = false
    state.faultErrorCode = 0
    return .stop
  }

  @inline(never)
  @discardableResult
  func raise(_ vector: ExceptionVector, _ errorCode: UInt32) -> Status {
    state.stop = .fault
    state.faultVector = vector.rawValue
    state.faultHasErrorCode = true
    state.faultErrorCode = errorCode
    return .stop
  }

  /// Asks the machine for something. The instruction is run again afterwards.
  @inline(never)
  @discardableResult
  func leave(
    _ kind: PendingExit.Kind, width: UInt8 = 0, address: UInt64 = 0, value: UInt64 = 0
  ) -> Status {
    state.stop = .exit
    state.exit = PendingExit(kind: kind, width: width, address: address, value: value)
    return .stop
  }
}
