import X86
import X86Decoder

/// What a CPU model offers, derived from its CPUID table: instructions, control-register bits.
struct FeatureSet {
  private var instructions: UInt128 = 0
  let definedCR4: UInt64
  let definedEFER: UInt64
  let definedXCR0: UInt64

  init(_ table: CPUIDTable) {
    let one = table.entry(leaf: 1)
    let seven = table.entry(leaf: 7, subleaf: 0)
    let extended = table.entry(leaf: 0x8000_0001)
    let eight = table.entry(leaf: 0x8000_0008)
    let state = table.entry(leaf: 0xD, subleaf: 1)
    let edx1 = one?.edx ?? 0
    let ecx1 = one?.ecx ?? 0
    let ebx7 = seven?.ebx ?? 0
    let ecx7 = seven?.ecx ?? 0
    let ecxE = extended?.ecx ?? 0
    let edxE = extended?.edx ?? 0
    let eaxD = state?.eax ?? 0
    let ebx8 = eight?.ebx ?? 0
    func bit(_ word: UInt32, _ number: UInt32) -> Bool { word >> number & 1 != 0 }

    let offered: [(InstructionFeature, Bool)] = [
      (.base, true), (.other, true), (.cmov, bit(edx1, 15)), (.cmpxchg8b, bit(edx1, 8)),
      (.cmpxchg16b, bit(ecx1, 13)), (.fpu, bit(edx1, 0)), (.mmx, bit(edx1, 23)),
      (.sse, bit(edx1, 25)), (.sse2, bit(edx1, 26)), (.sse3, bit(ecx1, 0)), (.ssse3, bit(ecx1, 9)),
      (.sse41, bit(ecx1, 19)), (.sse42, bit(ecx1, 20)), (.sse4a, bit(ecxE, 6)),
      (.popcnt, bit(ecx1, 23)), (.lzcnt, bit(ecxE, 5)), (.bmi1, bit(ebx7, 3)),
      (.bmi2, bit(ebx7, 8)), (.movbe, bit(ecx1, 22)), (.adx, bit(ebx7, 19)), (.aes, bit(ecx1, 25)),
      (.pclmulqdq, bit(ecx1, 1)), (.sha, bit(ebx7, 29)), (.avx, bit(ecx1, 28)),
      (.avx2, bit(ebx7, 5)), (.fma, bit(ecx1, 12)), (.f16c, bit(ecx1, 29)),
      (.vaes, bit(ecx7, 9)), (.vpclmulqdq, bit(ecx7, 10)), (.gfni, bit(ecx7, 8)),
      (.xsave, bit(ecx1, 26)), (.xsaveopt, bit(eaxD, 0)), (.xsavec, bit(eaxD, 1)),
      (.xsaves, bit(eaxD, 3)), (.fsgsbase, bit(ebx7, 0)), (.rdrand, bit(ecx1, 30)),
      (.rdseed, bit(ebx7, 18)), (.rdtscp, bit(edxE, 27)), (.rdpid, bit(ecx7, 22)),
      (.clflush, bit(edx1, 19)), (.clflushopt, bit(ebx7, 23)), (.clwb, bit(ebx7, 24)),
      (.prefetchw, true), (.longMode, bit(edxE, 29)), (.syscall, bit(edxE, 11) || bit(edxE, 29)),
      (.sysenter, bit(edx1, 11)), (.invpcid, bit(ebx7, 10)), (.monitor, bit(ecx1, 3)),
      (.smap, bit(ebx7, 20)), (.fxsr, bit(edx1, 24)), (.lahf64, bit(ecxE, 0) || !bit(edxE, 29)),
      (.tsc, bit(edx1, 4)), (.clzero, bit(ebx8, 0)), (.wbnoinvd, bit(ebx8, 9)),
      // Hypercalls: the hypervisor bit brings both vendors' forms.
      (.vmx, bit(ecx1, 31)), (.svm, bit(ecx1, 31)), (.serialize, false),
    ]
    for (feature, isOffered) in offered where isOffered {
      instructions |= 1 << UInt128(feature.rawValue)
    }

    var cr4: CR4 = [.debuggingExtensions, .machineCheckEnable, .performanceCounterEnable]
    let controls: [(CR4, Bool)] = [
      (.virtual8086Extensions, bit(edx1, 1)), (.protectedModeVirtualInterrupts, bit(edx1, 1)),
      (.timeStampDisable, bit(edx1, 4)), (.pageSizeExtensions, bit(edx1, 3)),
      (.physicalAddressExtension, bit(edx1, 6)), (.pageGlobalEnable, bit(edx1, 13)),
      (.osFXSR, bit(edx1, 24)), (.osXMMExceptions, bit(edx1, 25)),
      (.userModeInstructionPrevention, bit(ecx7, 2)), (.fsgsBase, bit(ebx7, 0)),
      (.processContextIdentifiers, bit(ecx1, 17)), (.osXSAVE, bit(ecx1, 26)),
      (.supervisorExecutionPrevention, bit(ebx7, 7)), (.supervisorAccessPrevention, bit(ebx7, 20)),
    ]
    for (control, isOffered) in controls where isOffered { cr4.insert(control) }
    definedCR4 = cr4.rawValue

    var efer: ExtendedFeatureEnable = []
    if bit(edxE, 11) || bit(edxE, 29) { efer.insert(.systemCallExtensions) }
    if bit(edxE, 29) { efer.insert(.longModeEnable) }
    if bit(edxE, 20) { efer.insert(.noExecuteEnable) }
    if bit(edxE, 25) { efer.insert(.fastFXSR) }
    if bit(table.entry(leaf: 0x8000_0021)?.eax ?? 0, 8) { efer.insert(.automaticIBRS) }
    definedEFER = efer.rawValue
    definedXCR0 = UInt64(table.entry(leaf: 0xD, subleaf: 0)?.eax ?? 0)
  }

  func contains(_ feature: InstructionFeature) -> Bool {
    instructions >> UInt128(feature.rawValue) & 1 != 0
  }
}
