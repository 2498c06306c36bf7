import CZydis
import X86Decoder

/// Where we differ from Zydis knowingly, each with its reason.
enum Tolerances {
  static func reason(_ comparison: Comparison, _ difference: String) -> String? {
    let name = comparison.theirName
    if !comparison.isOursValid, comparison.isTheirsValid {
      // ZYDIS_INSTRUCTION_ENCODING_MVEX
      if comparison.theirs.encoding == 5 { return "MVEX: Knights Corner's, #UD everywhere else" }
      return families.first { $0.matches(name, encoding: comparison.theirs.encoding) }?.reason
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
    case .cmps where difference == "flags read", .scas where difference == "flags read":
      return "REPE and REPNE test the ZF that the comparison itself made, and read none"
    case .syscall where difference == "flags read":
      return "SYSCALL saves RFLAGS in R11"
    case .nop where name == "cldemote":
      return "CLDEMOTE is not offered: a NOP"
    default: break
    }
    return nil
  }

  private struct Family {
    var reason: String
    var names: Set<String>
    /// Zydis's encodings (2 is XOP, 3 is VEX) where the names exist in others too.
    var encodings: Set<Int32>?

    func matches(_ name: String, encoding: Int32) -> Bool {
      names.contains(name) && encodings?.contains(encoding) ?? true
    }
  }

  private static let families = [
    Family(reason: "SALC is not in the manual", names: ["salc"]),
    Family(
      reason: "3DNow! is not offered",
      names: [
        "femms", "pavgusb", "pmulhrw", "pswapd", "pi2fw", "pi2fd", "pf2iw", "pf2id", "pfacc",
        "pfadd", "pfcmpeq", "pfcmpge", "pfcmpgt", "pfcpit1", "pfmax", "pfmin", "pfmul", "pfnacc",
        "pfpnacc", "pfrcp", "pfrcpit2", "pfrsqit1", "pfsqrt", "pfsub", "pfsubr",
      ]),
    Family(reason: "SMX is not offered", names: ["getsec"]),
    Family(reason: "TSX: XEND and XTEST are #UD without it", names: ["xend", "xtest"]),
    Family(
      reason: "SGX is not offered", names: ["encls", "enclu", "enclv"]),
    Family(
      reason: "CET is not offered",
      names: [
        "setssbsy", "clrssbsy", "rstorssp", "saveprevssp", "incsspd", "incsspq", "wrssd", "wrssq",
        "wrussd", "wrussq",
      ]),
    Family(
      reason: "Key Locker is not offered",
      names: [
        "loadiwkey", "aesdec128kl", "aesdec256kl", "aesdecwide128kl", "aesdecwide256kl",
        "aesenc128kl", "aesenc256kl", "aesencwide128kl", "aesencwide256kl", "encodekey128",
        "encodekey256",
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
      names: [
        "montmul", "xcrypt_cbc", "xcrypt_cfb", "xcrypt_ctr", "xcrypt_ecb", "xcrypt_ofb", "xsha1",
        "xsha256", "xstore",
      ]),
    Family(
      reason: "AMX is not offered",
      names: [
        "ldtilecfg", "sttilecfg", "tdpbf16ps", "tdpbssd", "tdpbsud", "tdpbusd", "tdpbuud",
        "tileloadd", "tileloaddt1", "tilerelease", "tilestored", "tilezero",
      ]),
    Family(
      reason: "AVX-512 mask instructions are not offered",
      names: [
        "kaddb", "kaddd", "kaddq", "kaddw", "kand", "kandb", "kandd", "kandn", "kandnb", "kandnd",
        "kandnq", "kandnr", "kandnw", "kandq", "kandw", "kmov", "kmovb", "kmovd", "kmovq",
        "kmovw", "knot", "knotb", "knotd", "knotq", "knotw", "kor", "korb", "kord", "korq",
        "kortest", "kortestb", "kortestd", "kortestq", "kortestw", "korw", "kshiftlb", "kshiftld",
        "kshiftlq", "kshiftlw", "kshiftrb", "kshiftrd", "kshiftrq", "kshiftrw", "ktestb",
        "ktestd", "ktestq", "ktestw", "kunpckbw", "kunpckdq", "kunpckwd", "kxnor", "kxnorb",
        "kxnord", "kxnorq", "kxnorw", "kxor", "kxorb", "kxord", "kxorq", "kxorw",
      ], encodings: [3]),
    Family(
      reason: "Knights Corner's instructions under VEX",
      names: [
        "delay", "spflt", "tzcnti", "tzcnt", "lzcnt", "popcnt", "clevict0", "clevict1", "jknzd",
        "jkzd", "kconcath", "kconcatl", "kextract", "kmerge2l1h", "kmerge2l1l", "vprefetch0",
        "vprefetch1", "vprefetch2", "vprefetche0", "vprefetche1", "vprefetche2", "vprefetchenta",
        "vprefetchnta",
      ], encodings: [3]),
    Family(reason: "TBM's BEXTR is not offered", names: ["bextr"], encodings: [2]),
    Family(
      reason: "FMA4 and XOP are not offered",
      names: [
        "vfmaddps", "vfmaddpd", "vfmaddss", "vfmaddsd", "vfmsubps", "vfmsubpd", "vfmsubss",
        "vfmsubsd", "vfnmaddps", "vfnmaddpd", "vfnmaddss", "vfnmaddsd", "vfnmsubps", "vfnmsubpd",
        "vfnmsubss", "vfnmsubsd", "vfmaddsubps", "vfmaddsubpd", "vfmsubaddps", "vfmsubaddpd",
        "llwpcb", "slwpcb", "lwpins", "lwpval", "blcfill", "blcs", "blsfill", "blcic", "blsic",
        "t1mskc", "tzmsk", "blcmsk", "blci", "vfrczpd", "vfrczps", "vfrczsd", "vfrczss",
        "vpcmov", "vpcomb", "vpcomd", "vpcompressb", "vpcompressd", "vpcompressq", "vpcompressw",
        "vpcomq", "vpcomub", "vpcomud", "vpcomuq", "vpcomuw", "vpcomw", "vpermil2pd",
        "vpermil2ps", "vphaddbd", "vphaddbq", "vphaddbw", "vphadddq", "vphaddubd", "vphaddubq",
        "vphaddubw", "vphaddudq", "vphadduwd", "vphadduwq", "vphaddwd", "vphaddwq", "vphsubbw",
        "vphsubdq", "vphsubwd", "vpmacsdd", "vpmacsdqh", "vpmacsdql", "vpmacssdd", "vpmacssdqh",
        "vpmacssdql", "vpmacsswd", "vpmacssww", "vpmacswd", "vpmacsww", "vpmadcsswd", "vpmadcswd",
        "vpperm", "vprotb", "vprotd", "vprotq", "vprotw", "vpshab", "vpshad", "vpshaq", "vpshaw",
        "vpshlb", "vpshld", "vpshldd", "vpshldq", "vpshldvd", "vpshldvq", "vpshldvw", "vpshldw",
        "vpshlq", "vpshlw",
      ], encodings: [2, 3]),
  ]
}

extension Comparison {
  /// 0F 1A and 0F 1B.
  var isMPX: Bool {
    ours.map == .map0F && ours.encoding == .legacy && (ours.opcode == 0x1A || ours.opcode == 0x1B)
  }
}
