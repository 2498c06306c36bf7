import X86

/// MOV to and from CR and DR, LMSW, CLTS, INVLPG, INVPCID (SDM 2B MOV; 3A 2.5).
extension CPU {
  func readControl(_ number: UInt8) -> UInt64? {
    switch number {
    case 0: return state.cr0
    case 2: return state.cr2
    case 3: return state.cr3
    case 4: return state.cr4
    case 8: return UInt64(env.apic.taskPriority >> 4)
    default:
      raise(.invalidOpcode)
      return nil
    }
  }

  func writeControl(_ number: UInt8, _ value: UInt64) -> Bool {
    switch number {
    case 0: return writeCR0(value)
    case 2:
      state.cr2 = value
      return true
    case 3: return writeCR3(value)
    case 4: return writeCR4(value)
    case 8:
      guard value & ~15 == 0 else { return generalProtection() }
      env.apic.taskPriority = UInt8(value) << 4
      raiseAttention(Attention.interrupt)
      return true
    default:
      raise(.invalidOpcode)
      return false
    }
  }

  private func generalProtection() -> Bool {
    raise(.generalProtection, 0)
    return false
  }

  func writeCR0(_ value: UInt64) -> Bool {
    let old = CR0(rawValue: state.cr0)
    let defined: UInt64 = 0xE005_003F
    guard value >> 32 == 0 else { return generalProtection() }
    let new = CR0(rawValue: value & defined | CR0.extensionType.rawValue)
    if new.contains(.paging), !new.contains(.protectionEnable) { return generalProtection() }
    if new.contains(.notWriteThrough), !new.contains(.cacheDisable) { return generalProtection() }
    let cr4 = CR4(rawValue: state.cr4)
    if old.contains(.paging), !new.contains(.paging) {
      if state.mode.is64Bit || cr4.contains(.processContextIdentifiers) {
        return generalProtection()
      }
    }
    if !old.contains(.paging), new.contains(.paging) {
      if state.efer & ExtendedFeatureEnable.longModeEnable.rawValue != 0 {
        guard cr4.contains(.physicalAddressExtension), state.segments[1].attributes & 1 << 13 == 0
        else { return generalProtection() }
        state.efer |= ExtendedFeatureEnable.longModeActive.rawValue
      } else if cr4.contains(.physicalAddressExtension) {
        guard loadPageDirectoryPointers(state.cr3) else { return generalProtection() }
      }
    } else if old.contains(.paging), !new.contains(.paging) {
      state.efer &= ~ExtendedFeatureEnable.longModeActive.rawValue
    } else if new.contains(.paging), cr4.contains(.physicalAddressExtension),
      state.efer & ExtendedFeatureEnable.longModeActive.rawValue == 0,
      old.symmetricDifference(new).intersection([.cacheDisable, .notWriteThrough]) != []
    {
      guard loadPageDirectoryPointers(state.cr3) else { return generalProtection() }
    }
    state.cr0 = new.rawValue
    let changed = old.symmetricDifference(new)
    if !changed.isDisjoint(with: [.paging, .writeProtect, .protectionEnable]) {
      env.tlb.flushAll(context: processContext)
    }
    if changed.contains(.protectionEnable) {
      // Leaving protected mode keeps the hidden parts of the segment registers.
      setPrivilegeLevel(0)
    }
    recomputeMode()
    return true
  }

  func writeCR3(_ value: UInt64) -> Bool {
    let usesPCID = state.cr4 & CR4.processContextIdentifiers.rawValue != 0
    let isLong = state.efer & ExtendedFeatureEnable.longModeActive.rawValue != 0
    var new = value
    if usesPCID { new &= ~(1 << 63) }
    if isLong {
      guard new & ~((1 << CPU.physicalAddressBits) - 1) == 0 else { return generalProtection() }
    } else {
      new &= 0xFFFF_FFFF
      if state.cr0 & CR0.paging.rawValue != 0,
        state.cr4 & CR4.physicalAddressExtension.rawValue != 0
      {
        guard loadPageDirectoryPointers(new) else { return generalProtection() }
      }
    }
    state.cr3 = new
    env.tlb.enter(context: processContext, isKept: usesPCID && value >> 63 != 0)
    forgetCodePage()
    return true
  }

  func writeCR4(_ value: UInt64) -> Bool {
    guard value & ~env.features.definedCR4 == 0 else { return generalProtection() }
    let old = CR4(rawValue: state.cr4)
    let new = CR4(rawValue: value)
    let isLong = state.efer & ExtendedFeatureEnable.longModeActive.rawValue != 0
    if isLong, !new.contains(.physicalAddressExtension) { return generalProtection() }
    if new.contains(.processContextIdentifiers), !old.contains(.processContextIdentifiers) {
      guard isLong, state.cr3 & 0xFFF == 0 else { return generalProtection() }
    }
    let changed = old.symmetricDifference(new)
    let paging: CR4 = [
      .physicalAddressExtension, .pageSizeExtensions, .pageGlobalEnable,
      .supervisorExecutionPrevention, .supervisorAccessPrevention, .processContextIdentifiers,
    ]
    if !isLong, state.cr0 & CR0.paging.rawValue != 0, new.contains(.physicalAddressExtension),
      !changed.isDisjoint(with: paging)
    {
      guard loadPageDirectoryPointers(state.cr3) else { return generalProtection() }
    }
    state.cr4 = value
    if !changed.isDisjoint(with: paging) {
      env.tlb.flushAll(context: processContext)
      forgetCodePage()
    }
    return true
  }

  func writeEFER(_ value: UInt64) -> Bool {
    let active = ExtendedFeatureEnable.longModeActive.rawValue
    guard value & ~(env.features.definedEFER | active) == 0 else { return generalProtection() }
    let enable = ExtendedFeatureEnable.longModeEnable.rawValue
    if state.cr0 & CR0.paging.rawValue != 0, (state.efer ^ value) & enable != 0 {
      return generalProtection()
    }
    let changed = state.efer ^ value
    state.efer = (value & ~active) | (state.efer & active)
    if changed & ExtendedFeatureEnable.noExecuteEnable.rawValue != 0 {
      env.tlb.flushAll(context: processContext)
    }
    forgetCodePage()
    return true
  }

  // MARK: Debug registers

  func readDebug(_ number: UInt8) -> UInt64? {
    guard let register = debugRegister(number) else { return nil }
    switch register {
    case 0...3: return state.debugAddresses[Int(register)]
    case 6: return state.dr6
    default: return state.dr7
    }
  }

  func writeDebug(_ number: UInt8, _ value: UInt64) -> Bool {
    guard let register = debugRegister(number) else { return false }
    switch register {
    case 0...3:
      state.debugAddresses[Int(register)] = value
    case 6:
      guard value >> 32 == 0 else { return generalProtection() }
      state.dr6 = value & 0xE00F | 0xFFFF_0FF0
    default:
      guard value >> 32 == 0 else { return generalProtection() }
      state.dr7 = value & 0xFFFF_2BFF | 0x400
    }
    for register in SegmentRegister.allCases { segmentChanged(register) }
    raiseAttention(Attention.singleStep)
    return true
  }

  /// The register a number means: 4 and 5 are 6 and 7 unless CR4.DE makes them #UD. DR7.GD faults.
  private func debugRegister(_ number: UInt8) -> UInt8? {
    var number = number
    if number == 4 || number == 5 {
      guard state.cr4 & CR4.debuggingExtensions.rawValue == 0 else {
        raise(.invalidOpcode)
        return nil
      }
      number += 2
    }
    guard number < 8 else {
      raise(.invalidOpcode)
      return nil
    }
    guard state.privilegeLevel == 0 else {
      raise(.generalProtection, 0)
      return nil
    }
    if state.dr7 & 1 << 13 != 0 {
      state.dr6 |= 1 << 13
      state.dr7 &= ~(1 << 13)
      raise(.debug)
      return nil
    }
    return number
  }

  // MARK: Invalidation

  func invalidatePage(_ linear: UInt64) {
    env.tlb.flush(page: linear)
    forgetCodePage()
  }

  /// INVPCID (SDM 2A). All types flush at least what they name.
  func invalidateContext(type: UInt64, pcid: UInt64, linear: UInt64) -> Bool {
    guard type <= 3 else { return generalProtection() }
    if type < 2, pcid >> 12 != 0 { return generalProtection() }
    if type < 2, state.cr4 & CR4.processContextIdentifiers.rawValue == 0, pcid != 0 {
      return generalProtection()
    }
    switch type {
    case 0:
      guard isCanonical(linear) else { return generalProtection() }
      invalidatePage(linear)
    case 2:
      env.tlb.flushAll(context: processContext)
      forgetCodePage()
    case 1:
      env.tlb.flush(context: Int(pcid))
      forgetCodePage()
    default:
      env.tlb.flushNonGlobal(context: processContext)
      forgetCodePage()
    }
    return true
  }

  /// The PCID (SDM 3A 4.10.1); 0 without PCIDE.
  var processContext: Int {
    CR4(rawValue: state.cr4).contains(.processContextIdentifiers) ? Int(state.cr3 & 0xFFF) : 0
  }
}
