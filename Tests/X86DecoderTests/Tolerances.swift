import CZydis
import X86Decoder

/// Where we differ from Zydis knowingly, each with its reason.
enum Tolerances {
  static func reason(_ comparison: Comparison, _ difference: String) -> String? {
    let name = comparison.theirName
    if !comparison.isOursValid, comparison.isTheirsValid {
      // ZYDIS_INSTRUCTION_ENCODING_MVEX
      if comparison.theirs.encoding == 5 { return "MVEX: Knights Corner's, #UD everywhere else" }
      return families.first { $0.matches(name) }?.reason
    }
    if comparison.isOursValid, !comparison.isTheirsValid {
      if comparison.ours.operation == .evex {
        return "EVEX is decoded for its length alone, and is #UD in any case"
      }
      if comparison.isMPX { return "MPX is not offered: its opcodes are NOPs (SDM 1 appendix D)" }
      return nil
    }
    if comparison.isMPX { return "MPX is not offered: its opcodes are NOPs (SDM 1 appendix D)" }
    if difference == "address", comparison.theirs.base == 13,
      comparison.ours.base == Instruction.noRegister, comparison.ours.addressSize == 4
    {
      return "Zydis 4.0 has R13D where SIB.base 5 with mod 0 is none, under 67 and REX.B"
    }
    switch comparison.ours.operation {
    case .wbnoinvd where name == "wbinvd":
      return "Zydis decodes WBNOINVD as WBINVD unless asked"
    case .clflush, .clflushopt, .clwb:
      if difference == "memory width" { return "the line's width: m8 in the manual, 64 in Zydis" }
    case .movsxd where comparison.ours.operandSize == 2:
      return "MOVSXD r16, r/m16 in the manual; Zydis reads a doubleword"
    case .nop where name == "cldemote":
      return "CLDEMOTE is not offered: a NOP"
    default: break
    }
    return nil
  }

  private struct Family {
    var reason: String
    var names: Set<String> = []
    var prefixes: [String] = []

    func matches(_ name: String) -> Bool {
      names.contains(name) || prefixes.contains { name.hasPrefix($0) }
    }
  }

  private static let families = [
    Family(reason: "SALC is not in the manual", names: ["salc"]),
    Family(
      reason: "3DNow! is not offered",
      names: ["femms", "pavgusb", "pmulhrw", "pswapd", "pi2fw", "pi2fd", "pf2iw", "pf2id"],
      prefixes: ["pf"]),
    Family(reason: "SMX is not offered", names: ["getsec"]),
    Family(reason: "TSX: XEND and XTEST are #UD without it", names: ["xend", "xtest"]),
    Family(
      reason: "SGX is not offered", names: ["encls", "enclu", "enclv"]),
    Family(
      reason: "CET is not offered",
      names: ["setssbsy", "clrssbsy", "rstorssp", "saveprevssp"],
      prefixes: ["wrss", "wruss", "incssp"]),
    Family(
      reason: "Key Locker is not offered", names: ["loadiwkey"],
      prefixes: [
        "aesenc128", "aesenc256", "aesdec128", "aesdec256", "aesencwide", "aesdecwide",
        "encodekey",
      ]),
    Family(
      reason: "user interrupts are not offered",
      names: ["stui", "clui", "uiret", "testui", "senduipi"]),
    Family(
      reason: "direct stores and enqueuing are not offered",
      names: ["movdiri", "movdir64b", "enqcmd", "enqcmds"]),
    Family(
      reason: "other system extensions that are not offered",
      names: [
        "ptwrite", "pconfig", "hreset", "tpause", "umonitor", "umwait", "rdpkru", "wrpkru",
        "rdpru", "mcommit", "vmfunc", "pvalidate", "psmash", "rmpadjust", "rmpupdate", "tdcall",
        "seamcall", "seamret", "seamops", "xsusldtrk", "xresldtrk", "invlpgb", "tlbsync", "vmgexit",
      ]),
    Family(
      reason: "VIA PadLock is not offered",
      names: ["montmul"], prefixes: ["xsha", "xcrypt", "xstore"]),
    Family(reason: "AMX is not offered", prefixes: ["tile", "ldtilecfg", "sttilecfg", "tdp"]),
    Family(
      reason: "AVX-512 mask instructions are not offered",
      prefixes: [
        "kmov", "kand", "kor", "kxor", "kxnor", "knot", "kadd", "kshift", "kunpck", "ktest",
      ]),
    Family(
      reason: "Knights Corner's instructions under VEX",
      names: ["delay", "spflt", "tzcnti", "tzcnt", "lzcnt", "popcnt"],
      prefixes: ["jkz", "jknz", "kconcat", "kmerge", "kextract", "clevict", "vprefetch"]),
    Family(
      reason: "FMA4 and XOP are not offered",
      names: [
        "vfmaddps", "vfmaddpd", "vfmaddss", "vfmaddsd", "vfmsubps", "vfmsubpd", "vfmsubss",
        "vfmsubsd", "vfnmaddps", "vfnmaddpd", "vfnmaddss", "vfnmaddsd", "vfnmsubps", "vfnmsubpd",
        "vfnmsubss", "vfnmsubsd", "vfmaddsubps", "vfmaddsubpd", "vfmsubaddps", "vfmsubaddpd",
        "llwpcb", "slwpcb", "lwpins", "lwpval", "blcfill", "blcs", "blsfill", "blcic", "blsic",
        "t1mskc", "tzmsk", "blcmsk", "blci", "bextr",
      ],
      prefixes: [
        "vpermil2", "vpcom", "vprot", "vpsha", "vpshl", "vpmacs", "vpmadcs", "vphadd",
        "vphsub", "vfrcz", "vpcmov", "vpperm",
      ]),
  ]
}

extension Comparison {
  /// 0F 1A and 0F 1B.
  var isMPX: Bool {
    ours.map == .map0F && ours.encoding == .legacy && (ours.opcode == 0x1A || ours.opcode == 0x1B)
  }
}
