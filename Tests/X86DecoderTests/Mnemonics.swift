import X86Decoder

/// One operation of ours can have several names in Zydis.
enum Mnemonics {
  static func agree(_ ours: Instruction, _ theirs: String) -> Bool {
    let name = "\(ours.operation)"
    return name == theirs || names(ours).contains(theirs)
  }

  private static let conditions = [
    "o", "no", "b", "nb", "z", "nz", "be", "nbe", "s", "ns", "p", "np", "l", "nl", "le", "nle",
  ]

  private static func names(_ ours: Instruction) -> [String] {
    let size = [1: "b", 2: "w", 4: "d", 8: "q"][Int(ours.operandSize)] ?? "?"
    let condition = conditions[Int(ours.opcode & 15)]
    let name = "\(ours.operation)"
    return switch ours.operation {
    case .jcc: ["j" + condition]
    case .setcc: ["set" + condition]
    case .cmovcc: ["cmov" + condition]
    case .movs, .cmps, .stos, .lods, .scas, .ins, .outs: [name + size]
    case .mov: ["movnti"]
    case .movSegment, .movControl, .movDebug: ["mov"]
    case .pushSegment: ["push"]
    case .popSegment: ["pop"]
    case .jmpFar: ["jmp"]
    case .callFar: ["call"]
    case .retFar: ["ret"]
    case .intImmediate: ["int"]
    case .cbw:
      [["cbw"], ["cwde"], ["cdqe"]][ours.operandSize == 2 ? 0 : (ours.operandSize == 4 ? 1 : 2)]
    case .cwd:
      [["cwd"], ["cdq"], ["cqo"]][ours.operandSize == 2 ? 0 : (ours.operandSize == 4 ? 1 : 2)]
    case .pusha, .popa, .pushf, .popf, .iret: [name + (ours.operandSize == 2 ? "" : size)]
    case .jcxz:
      [["jcxz"], ["jecxz"], ["jrcxz"]][ours.addressSize == 2 ? 0 : (ours.addressSize == 4 ? 1 : 2)]
    case .prefetch:
      [
        "prefetch", "prefetchwt1", "prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta",
        "prefetchw", "nop",
      ]
    case .prefetchw: ["prefetchwt1"]
    case .ud: ["ud0", "ud1", "ud2"]
    case .endbr: ["endbr32", "endbr64"]
    // Hints of features that are not offered are NOPs.
    case .nop:
      [
        "bndmk", "bndcl", "bndcu", "bndcn", "bndmov", "bndldx", "bndstx", "cldemote", "rdsspd",
        "rdsspq", "nop",
      ]
    case .fneni: ["feni8087_nop"]
    case .fndisi: ["fdisi8087_nop"]
    case .fnsetpm: ["fsetpm287_nop"]
    case .fxsave, .fxrstor, .xsave, .xrstor, .xsaveopt, .xsavec, .xsaves, .xrstors: [name + "64"]
    case .int1: ["int1", "icebp"]
    case .shl: ["sal"]
    case .fstp: ["fstpnce"]
    default: []
    }
  }
}
