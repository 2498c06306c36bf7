import Glibc
import X86
import X86Decoder

/// FXSAVE, XSAVE and their kin (SDM 1 10.5, 13.7…13.10).
extension CPU {
  func executeExtendedState(_ op: Micro, _ instruction: Instruction, next: UInt64) -> Status {
    // A gather's index is no general register.
    if instruction.traits.contains(.vectorIndex) { return gather(op, instruction) }
    let address = effectiveAddress(op)
    switch instruction.operation {
    case .fxsave, .fxrstor: return executeFX(op, instruction, address)
    case .ldmxcsr, .stmxcsr, .vldmxcsr, .vstmxcsr: return executeMXCSR(op, instruction, address)
    case .xsave, .xsaveopt, .xsavec, .xrstor: return executeXSAVE(op, instruction, address)
    case .maskmovq, .maskmovdqu, .vmaskmovdqu: return storeMasked(op, instruction)
    case .vmaskmovps, .vmaskmovpd, .vpmaskmovd, .vpmaskmovq: return moveMasked(op, instruction)
    default: return raise(.invalidOpcode)
    }
  }

  private var registerCount: Int { state.mode.is64Bit ? 16 : 8 }

  private func isAligned(_ op: Micro, _ address: UInt64, to alignment: UInt64) -> Bool {
    let linear = (address &+ state.linearBase[Int(op.segment)]) & state.linearMask
    return linear & (alignment - 1) == 0
  }

  // MARK: MXCSR

  private func executeMXCSR(_ op: Micro, _ instruction: Instruction, _ address: UInt64) -> Status {
    let isVEX = instruction.encoding == .vex
    if isVEX {
      guard state.cr4 & CR4.osXSAVE.rawValue != 0, state.xcr0 & 6 == 6 else {
        return raise(.invalidOpcode)
      }
    } else {
      guard state.cr0 & CR0.emulation.rawValue == 0, state.cr4 & CR4.osFXSR.rawValue != 0 else {
        return raise(.invalidOpcode)
      }
    }
    guard state.cr0 & CR0.taskSwitched.rawValue == 0 else { return raise(.deviceNotAvailable) }
    let registers = env.host.registers
    if instruction.operation == .stmxcsr || instruction.operation == .vstmxcsr {
      return write(op.segment, address, registers.mxcsr) ? .next : .stop
    }
    guard let value = read(op.segment, address, UInt32.self) else { return .stop }
    guard value & ~ExtendedState.mxcsrMask == 0 else { return raise(.generalProtection, 0) }
    registers.mxcsr = value
    return .next
  }

  // MARK: FXSAVE

  private func executeFX(_ op: Micro, _ instruction: Instruction, _ address: UInt64) -> Status {
    let mask = CR0.taskSwitched.rawValue | CR0.emulation.rawValue
    guard state.cr0 & mask == 0 else { return raise(.deviceNotAvailable) }
    guard isAligned(op, address, to: 16) else { return raise(.generalProtection, 0) }
    let registers = env.host.registers
    let isWide = instruction.prefixes.contains(.rexW)
    let image = unsafe registers.base + ExtendedState.Offset.buffer
    if instruction.operation == .fxsave {
      unsafe memset(image, 0, 512)
      unsafe registers.writeX87(to: image, isWide: isWide)
      unsafe registers.writeMXCSR(to: image)
      unsafe registers.writeVectors(to: image, high: false, count: registerCount)
      // The rest belongs to software.
      let count = 160 + registerCount * 16
      return unsafe writeBytes(op.segment, address, count, from: image) ? .next : .stop
    }
    guard unsafe readBytes(op.segment, address, 512, into: image) else { return .stop }
    let value = unsafe image.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    guard value & ~ExtendedState.mxcsrMask == 0 else { return raise(.generalProtection, 0) }
    unsafe registers.readX87(from: image, isWide: isWide)
    registers.mxcsr = value
    unsafe registers.readVectors(from: image, high: false, count: registerCount)
    return .next
  }

  // MARK: XSAVE

  private func executeXSAVE(_ op: Micro, _ instruction: Instruction, _ address: UInt64) -> Status {
    guard state.cr4 & CR4.osXSAVE.rawValue != 0 else { return raise(.invalidOpcode) }
    guard state.cr0 & CR0.taskSwitched.rawValue == 0 else { return raise(.deviceNotAvailable) }
    guard isAligned(op, address, to: 64) else { return raise(.generalProtection, 0) }
    let requested = (self[.rdx] << 32 | self[.rax] & 0xFFFF_FFFF) & state.xcr0
    if instruction.operation == .xrstor {
      return restoreComponents(op, instruction, address, requested)
    }
    return saveComponents(op, instruction, address, requested)
  }

  /// XSAVE writes all requested components, XSAVEOPT and XSAVEC those in use.
  private func saveComponents(
    _ op: Micro, _ instruction: Instruction, _ address: UInt64, _ requested: UInt64
  ) -> Status {
    let registers = env.host.registers
    let isCompact = instruction.operation == .xsavec
    let image = unsafe registers.base + ExtendedState.Offset.buffer
    let hasHigh = requested & 4 != 0
    let size = hasHigh ? 832 : 576
    // What is not saved keeps its content.
    guard unsafe readBytes(op.segment, address, size, into: image) else { return .stop }
    var inUse = registers.componentsInUse & requested
    if isCompact, requested & 2 != 0, registers.mxcsr != 0x1F80 { inUse |= 2 }
    let written = instruction.operation == .xsave ? requested : inUse
    if written & 1 != 0 {
      unsafe registers.writeX87(to: image, isWide: instruction.prefixes.contains(.rexW))
    }
    if isCompact ? written & 2 != 0 : requested & 6 != 0 { unsafe registers.writeMXCSR(to: image) }
    let count = registerCount
    if written & 2 != 0 { unsafe registers.writeVectors(to: image, high: false, count: count) }
    if written & 4 != 0 { unsafe registers.writeVectors(to: image, high: true, count: count) }
    let old = unsafe image.loadUnaligned(fromByteOffset: 512, as: UInt64.self)
    let present = isCompact ? inUse : old & ~requested | inUse
    unsafe image.storeBytes(of: present, toByteOffset: 512, as: UInt64.self)
    if isCompact {
      unsafe image.storeBytes(of: requested | 1 << 63, toByteOffset: 520, as: UInt64.self)
    }
    return unsafe writeBytes(op.segment, address, size, from: image) ? .next : .stop
  }

  private func restoreComponents(
    _ op: Micro, _ instruction: Instruction, _ address: UInt64, _ requested: UInt64
  ) -> Status {
    let registers = env.host.registers
    let image = unsafe registers.base + ExtendedState.Offset.buffer
    guard unsafe readBytes(op.segment, address, 576, into: image) else { return .stop }
    let present = unsafe image.loadUnaligned(fromByteOffset: 512, as: UInt64.self)
    let layout = unsafe image.loadUnaligned(fromByteOffset: 520, as: UInt64.self)
    let isCompact = layout >> 63 != 0
    guard unsafe isValidHeader(present, layout, image), !isCompact || env.features.contains(.xsavec)
    else { return raise(.generalProtection, 0) }
    let loaded = requested & present
    if loaded & 4 != 0 {
      let high = unsafe image + 576
      guard unsafe readBytes(op.segment, address &+ 576, 256, into: high) else { return .stop }
    }
    let value = unsafe image.loadUnaligned(fromByteOffset: 24, as: UInt32.self)
    let loadsMXCSR = isCompact ? loaded & 2 != 0 : requested & 6 != 0
    if loadsMXCSR {
      guard value & ~ExtendedState.mxcsrMask == 0 else { return raise(.generalProtection, 0) }
      registers.mxcsr = value
    } else if isCompact, requested & 2 != 0 {
      registers.mxcsr = 0x1F80
    }
    let initialized = requested & ~present
    if initialized & 1 != 0 { registers.initializeX87() }
    registers.clearVectors(
      low: initialized & 2 != 0, high: initialized & 4 != 0, count: registerCount)
    if loaded & 1 != 0 {
      unsafe registers.readX87(from: image, isWide: instruction.prefixes.contains(.rexW))
    }
    let count = registerCount
    if loaded & 2 != 0 { unsafe registers.readVectors(from: image, high: false, count: count) }
    if loaded & 4 != 0 { unsafe registers.readVectors(from: image, high: true, count: count) }
    return .next
  }

  /// SDM 1 13.8.1, 13.8.2.
  private func isValidHeader(
    _ present: UInt64, _ layout: UInt64, _ image: UnsafeRawPointer
  ) -> Bool {
    guard present & ~state.xcr0 == 0 else { return false }
    if layout >> 63 != 0 {
      let components = layout & ~(1 << 63)
      guard components & ~state.xcr0 == 0, present & ~components == 0 else { return false }
    } else if layout != 0 {
      return false
    }
    // Bytes 16…23 of the header are reserved in both formats, the rest in the compacted one.
    let last = layout >> 63 != 0 ? 576 : 536
    for offset in stride(from: 528, to: last, by: 8) {
      guard unsafe image.loadUnaligned(fromByteOffset: offset, as: UInt64.self) == 0 else {
        return false
      }
    }
    return true
  }

  // MARK: For CPUID, XGETBV and saved states

  /// XINUSE, as XGETBV(1) tells it.
  var extendedComponentsInUse: UInt64 {
    let registers = env.host.registers
    return registers.componentsInUse | (registers.mxcsr != 0x1F80 ? 2 : 0)
  }

  func extendedStateSize(_ components: UInt64) -> Int { components & 4 != 0 ? 832 : 576 }

  func saveExtendedState() -> [UInt8] { env.host.registers.standardImage() }

  func restoreExtendedState(_ area: [UInt8]) -> String? { env.host.registers.restore(area) }
}
