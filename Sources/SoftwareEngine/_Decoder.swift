import X86
import X86Decoder

enum DecodeOutcome { case decoded, invalid, tooLong, needsMoreBytes }

struct Row {
  var operation: Operation
  var codes: [String]
  var only64 = false, not64 = false, d64 = false, f64 = false
  var traits: InstructionTraits = []
  var feature: InstructionFeature = .base
}

let hostRows: [String: String] = {
  var rows: [String: String] = [:]
  for item
    in "N0F:10=16l N0F:11=16s N0F:12=8l N0F:16=8l N0F:13=8sm N0F:17=8sm N0F:14=16la N0F:15=16la N0F:28=16la N0F:51=16la N0F:52=16la N0F:53=16la N0F:54=16la N0F:55=16la N0F:56=16la N0F:57=16la N0F:58=16la N0F:59=16la N0F:5B=16la N0F:5C=16la N0F:5D=16la N0F:5E=16la N0F:5F=16la N0F:5A=8l N0F:29=16sa N0F:2B=16sam N0F:2A=8lx N0F:2C=8lx N0F:2D=8lx N0F:2E=4lf N0F:2F=4lf N0F:50=0gr N0F:C2=16lai N0F:C6=16lai 60F:10=16l 60F:11=16s 60F:12=8lm 60F:16=8lm 60F:13=8sm 60F:17=8sm 60F:14=16la 60F:15=16la 60F:28=16la 60F:51=16la 60F:54=16la 60F:55=16la 60F:56=16la 60F:57=16la 60F:58=16la 60F:59=16la 60F:5A=16la 60F:5B=16la 60F:5C=16la 60F:5D=16la 60F:5E=16la 60F:5F=16la 60F:60=16la 60F:61=16la 60F:62=16la 60F:63=16la 60F:64=16la 60F:65=16la 60F:66=16la 60F:67=16la 60F:68=16la 60F:69=16la 60F:6A=16la 60F:6B=16la 60F:6C=16la 60F:6D=16la 60F:6F=16la 60F:74=16la 60F:75=16la 60F:76=16la 60F:7C=16la 60F:7D=16la 60F:D0=16la 60F:D1=16la 60F:D2=16la 60F:D3=16la 60F:D4=16la 60F:D5=16la 60F:D8=16la 60F:D9=16la 60F:DA=16la 60F:DB=16la 60F:DC=16la 60F:DD=16la 60F:DE=16la 60F:DF=16la 60F:E0=16la 60F:E1=16la 60F:E2=16la 60F:E3=16la 60F:E4=16la 60F:E5=16la 60F:E6=16la 60F:E8=16la 60F:E9=16la 60F:EA=16la 60F:EB=16la 60F:EC=16la 60F:ED=16la 60F:EE=16la 60F:EF=16la 60F:F1=16la 60F:F2=16la 60F:F3=16la 60F:F4=16la 60F:F5=16la 60F:F6=16la 60F:F8=16la 60F:F9=16la 60F:FA=16la 60F:FB=16la 60F:FC=16la 60F:FD=16la 60F:FE=16la 60F:29=16sa 60F:7F=16sa 60F:2B=16sam 60F:E7=16sam 60F:2A=8lx 60F:2C=16lax 60F:2D=16lax 60F:2E=8lf 60F:2F=8lf 60F:50=0gr 60F:D7=0gr 60F:6E=Wle 60F:7E=Wse 60F:70=16lai 60F:C2=16lai 60F:C6=16lai 60F:71=0ri 60F:72=0ri 60F:73=0ri 60F:C4=2lei 60F:C5=0gri 60F:D6=8s F30F:10=4l F30F:51=4l F30F:52=4l F30F:53=4l F30F:58=4l F30F:59=4l F30F:5A=4l F30F:5C=4l F30F:5D=4l F30F:5E=4l F30F:5F=4l F30F:11=4s F30F:12=16la F30F:16=16la F30F:5B=16la F30F:2A=Wle F30F:2C=4lg F30F:2D=4lg F30F:6F=16l F30F:7F=16s F30F:70=16lai F30F:7E=8l F30F:E6=8l F30F:C2=4li F30F:D6=0rx F20F:10=8l F20F:12=8l F20F:51=8l F20F:58=8l F20F:59=8l F20F:5A=8l F20F:5C=8l F20F:5D=8l F20F:5E=8l F20F:5F=8l F20F:11=8s F20F:2A=Wle F20F:2C=8lg F20F:2D=8lg F20F:70=16lai F20F:7C=16la F20F:7D=16la F20F:D0=16la F20F:E6=16la F20F:C2=8li F20F:D6=0rx F20F:F0=16lm N0F:63=8lx N0F:64=8lx N0F:65=8lx N0F:66=8lx N0F:67=8lx N0F:68=8lx N0F:69=8lx N0F:6A=8lx N0F:6B=8lx N0F:6F=8lx N0F:74=8lx N0F:75=8lx N0F:76=8lx N0F:D1=8lx N0F:D2=8lx N0F:D3=8lx N0F:D4=8lx N0F:D5=8lx N0F:D8=8lx N0F:D9=8lx N0F:DA=8lx N0F:DB=8lx N0F:DC=8lx N0F:DD=8lx N0F:DE=8lx N0F:DF=8lx N0F:E0=8lx N0F:E1=8lx N0F:E2=8lx N0F:E3=8lx N0F:E4=8lx N0F:E5=8lx N0F:E8=8lx N0F:E9=8lx N0F:EA=8lx N0F:EB=8lx N0F:EC=8lx N0F:ED=8lx N0F:EE=8lx N0F:EF=8lx N0F:F1=8lx N0F:F2=8lx N0F:F3=8lx N0F:F4=8lx N0F:F5=8lx N0F:F6=8lx N0F:F8=8lx N0F:F9=8lx N0F:FA=8lx N0F:FB=8lx N0F:FC=8lx N0F:FD=8lx N0F:FE=8lx N0F:60=4lx N0F:61=4lx N0F:62=4lx N0F:6E=Wlex N0F:7E=Wsex N0F:70=8lix N0F:71=0rix N0F:72=0rix N0F:73=0rix N0F:77=0zx N0F:7F=8sx N0F:E7=8smx N0F:C4=2leix N0F:C5=0grix N0F:D7=0grx 60F38:00=16la 60F38:01=16la 60F38:02=16la 60F38:03=16la 60F38:04=16la 60F38:05=16la 60F38:06=16la 60F38:07=16la 60F38:08=16la 60F38:09=16la 60F38:0A=16la 60F38:0B=16la 60F38:10=16la 60F38:14=16la 60F38:15=16la 60F38:1C=16la 60F38:1D=16la 60F38:1E=16la 60F38:28=16la 60F38:29=16la 60F38:2A=16la 60F38:2B=16la 60F38:37=16la 60F38:38=16la 60F38:39=16la 60F38:3A=16la 60F38:3B=16la 60F38:3C=16la 60F38:3D=16la 60F38:3E=16la 60F38:3F=16la 60F38:40=16la 60F38:41=16la 60F38:DB=16la 60F38:DC=16la 60F38:DD=16la 60F38:DE=16la 60F38:DF=16la 60F38:17=16laf 60F38:20=8l 60F38:23=8l 60F38:25=8l 60F38:21=4l 60F38:24=4l 60F38:22=2l 60F38:30=8l 60F38:33=8l 60F38:35=8l 60F38:31=4l 60F38:34=4l 60F38:32=2l N0F38:00=8lx N0F38:01=8lx N0F38:02=8lx N0F38:03=8lx N0F38:04=8lx N0F38:05=8lx N0F38:06=8lx N0F38:07=8lx N0F38:08=8lx N0F38:09=8lx N0F38:0A=8lx N0F38:0B=8lx N0F38:1C=8lx N0F38:1D=8lx N0F38:1E=8lx N0F38:C8=16la N0F38:C9=16la N0F38:CA=16la N0F38:CB=16la N0F38:CC=16la N0F38:CD=16la 60F3A:08=16lai 60F3A:09=16lai 60F3A:0C=16lai 60F3A:0D=16lai 60F3A:0E=16lai 60F3A:0F=16lai 60F3A:40=16lai 60F3A:41=16lai 60F3A:42=16lai 60F3A:44=16lai 60F3A:DF=16lai 60F3A:0A=4li 60F3A:0B=8li 60F3A:14=1sei 60F3A:15=2sei 60F3A:16=Wsei 60F3A:17=4sei 60F3A:20=1lei 60F3A:21=4li 60F3A:22=Wlei 60F3A:60=16lifc 60F3A:61=16lifc 60F3A:62=16lifc 60F3A:63=16lifc N0F3A:0F=8lix N0F3A:CC=16lai"
    .split(separator: " ")
  {
    let parts = item.split(separator: "=")
    rows[String(parts[0])] = String(parts[1])
  }
  return rows
}()

/// Contingency decoder: integer and system instructions.
struct Decoder {
  let mode: CodeMode
  init(mode: CodeMode) { self.mode = mode }
  static let tables = Tables()

  final class Tables: Sendable {
    let one: [Row?]
    let two: [Row?]
    let groups: [String: [Row?]]
    init() {
      func parse(_ text: String) -> Row? {
        let parts = text.split(separator: " ", maxSplits: 1).map(String.init)
        guard let name = parts.first, name != "-" else { return nil }
        var flags = ""
        var nm = name
        if let at = name.firstIndex(of: "/") {
          nm = String(name[..<at]); flags = String(name[name.index(after: at)...])
        }
        guard let op = Operation.allCases.first(where: { "\($0)" == nm }) else {
          fatalError("op \(nm)")
        }
        var r = Row(
          operation: op,
          codes: parts.count > 1 ? parts[1].split(separator: ",").map(String.init) : [])
        for f in flags {
          switch f {
          case "o": r.only64 = true
          case "n": r.not64 = true
          case "d": r.d64 = true
          case "f": r.f64 = true; r.d64 = true
          case "c": r.traits.insert(.changesControlFlow)
          case "l": r.traits.insert(.lockable)
          case "p": r.traits.insert(.privileged)
          case "m": r.traits.insert(.protectedModeOnly)
          default: fatalError(flags)
          }
        }
        return r
      }
      var one = [Row?](repeating: nil, count: 256)
      var two = [Row?](repeating: nil, count: 256)
      var groups: [String: [Row?]] = [:]
      let alu = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"]
      for (k, n) in alu.enumerated() {
        let l = n == "cmp" ? "" : "/l"
        let forms = [
          "\(n)\(l) Eb,Gb", "\(n)\(l) Ev,Gv", "\(n) Gb,Eb", "\(n) Gv,Ev", "\(n) AL,Ib",
          "\(n) rAX,Iz",
        ]
        for (j, f) in forms.enumerated() { one[k * 8 + j] = parse(f) }
        groups["1b", default: []].append(parse("\(n)\(l) Eb,Ib"))
        groups["1v", default: []].append(parse("\(n)\(l) Ev,Iz"))
        groups["1s", default: []].append(parse("\(n)\(l) Ev,Ibs"))
      }
      func set(_ t: inout [Row?], _ list: [(Int, String)]) {
        for (c, s) in list { t[c] = parse(s) }
      }
      set(
        &one,
        [
          (0x06, "pushSegment/n S0"), (0x07, "popSegment/n S0"), (0x0E, "pushSegment/n S1"),
          (0x16, "pushSegment/n S2"), (0x17, "popSegment/n S2"),
          (0x1E, "pushSegment/n S3"), (0x1F, "popSegment/n S3"), (0x27, "daa/n"), (0x2F, "das/n"),
          (0x37, "aaa/n"), (0x3F, "aas/n"),
          (0x60, "pusha/n"), (0x61, "popa/n"), (0x62, "bound/n Gv,M"), (0x68, "push/d Iz"),
          (0x69, "imul Gv,Ev,Iz"), (0x6A, "push/d Ibs"), (0x6B, "imul Gv,Ev,Ibs"),
          (0x6C, "ins b"), (0x6D, "ins z"), (0x6E, "outs b"), (0x6F, "outs z"),
          (0x84, "test Eb,Gb"), (0x85, "test Ev,Gv"), (0x86, "xchg/l Eb,Gb"),
          (0x87, "xchg/l Ev,Gv"),
          (0x88, "mov Eb,Gb"), (0x89, "mov Ev,Gv"), (0x8A, "mov Gb,Eb"), (0x8B, "mov Gv,Ev"),
          (0x8C, "movSegment Ev,Sw"), (0x8D, "lea Gv,M"), (0x8E, "movSegment Sw,Ew"),
          (0x8F, "pop/d Ev"),
          (0x98, "cbw"), (0x99, "cwd"), (0x9A, "callFar/nc Ap"), (0x9C, "pushf/d"),
          (0x9D, "popf/d"), (0x9E, "sahf"), (0x9F, "lahf"),
          (0xA0, "mov AL,Ob"), (0xA1, "mov rAX,Ov"), (0xA2, "mov Ob,AL"), (0xA3, "mov Ov,rAX"),
          (0xA4, "movs b"), (0xA5, "movs v"), (0xA6, "cmps b"), (0xA7, "cmps v"),
          (0xA8, "test AL,Ib"), (0xA9, "test rAX,Iz"), (0xAA, "stos b"), (0xAB, "stos v"),
          (0xAC, "lods b"), (0xAD, "lods v"), (0xAE, "scas b"), (0xAF, "scas v"),
          (0xC2, "ret/fc Iw"), (0xC3, "ret/fc"), (0xC8, "enter/d Iw,Ib"), (0xC9, "leave/d"),
          (0xCA, "retFar/c Iw"), (0xCB, "retFar/c"), (0xCC, "int3/c"), (0xCD, "intImmediate/c Ib"),
          (0xCE, "into/nc"), (0xCF, "iret/c"),
          (0xD4, "aam/n Ib"), (0xD5, "aad/n Ib"), (0xD7, "xlat"),
          (0xE0, "loopne/fc Jb"), (0xE1, "loope/fc Jb"), (0xE2, "loop/fc Jb"), (0xE3, "jcxz/fc Jb"),
          (0xE4, "in AL,Ib"), (0xE5, "in eAX,Ib"), (0xE6, "out Ib,AL"), (0xE7, "out Ib,eAX"),
          (0xE8, "call/fc Jz"), (0xE9, "jmp/fc Jz"), (0xEA, "jmpFar/nc Ap"), (0xEB, "jmp/fc Jb"),
          (0xEC, "in AL,DX"), (0xED, "in eAX,DX"), (0xEE, "out DX,AL"), (0xEF, "out DX,eAX"),
          (0xF1, "int1/c"), (0xF4, "hlt/pc"), (0xF5, "cmc"), (0xF8, "clc"), (0xF9, "stc"),
          (0xFA, "cli"), (0xFB, "sti"), (0xFC, "cld"), (0xFD, "std"),
          (0x63, "movsxd/o Gv,Ed"),
        ])
      for r in 0..<8 {
        one[0x40 + r] = parse("inc/n Zv"); one[0x48 + r] = parse("dec/n Zv")
        one[0x50 + r] = parse("push/d Zv"); one[0x58 + r] = parse("pop/d Zv")
        one[0x90 + r] = parse("xchg Zv,rAX"); one[0xB0 + r] = parse("mov Zb,Ib");
        one[0xB8 + r] = parse("mov Zv,Iv")
        two[0xC8 + r] = parse("bswap Zv")
      }
      for k in 0..<16 {
        one[0x70 + k] = parse("jcc/fc Jb"); two[0x80 + k] = parse("jcc/fc Jz");
        two[0x90 + k] = parse("setcc Eb"); two[0x40 + k] = parse("cmovcc Gv,Ev")
      }
      let sh = ["rol", "ror", "rcl", "rcr", "shl", "shr", "shl", "sar"]
      for (g, f) in [
        ("2bI", "Eb,Ib"), ("2vI", "Ev,Ib"), ("2b1", "Eb,1"), ("2v1", "Ev,1"), ("2bC", "Eb,CL"),
        ("2vC", "Ev,CL"),
      ] {
        groups[g] = sh.map { parse("\($0) \(f)") }
      }
      groups["3b"] = [
        "test Eb,Ib", "test Eb,Ib", "not/l Eb", "neg/l Eb", "mul Eb", "imul Eb", "div Eb",
        "idiv Eb",
      ].map(parse)
      groups["3v"] = [
        "test Ev,Iz", "test Ev,Iz", "not/l Ev", "neg/l Ev", "mul Ev", "imul Ev", "div Ev",
        "idiv Ev",
      ].map(parse)
      groups["4"] = ["inc/l Eb", "dec/l Eb"].map(parse) + Array(repeating: nil, count: 6)
      groups["5"] = [
        "inc/l Ev", "dec/l Ev", "call/fc Ev", "callFar/c Mp", "jmp/fc Ev", "jmpFar/c Mp",
        "push/d Ev", "-",
      ].map(parse)
      groups["11b"] = [parse("mov Eb,Ib")] + Array(repeating: nil, count: 7)
      groups["11v"] = [parse("mov Ev,Iz")] + Array(repeating: nil, count: 7)
      groups["6"] = [
        "sldt/m Ev", "str/m Ev", "lldt/pm Ew", "ltr/pm Ew", "verr/m Ew", "verw/m Ew", "-", "-",
      ].map(parse)
      groups["7m"] = [
        "sgdt Ms", "sidt Ms", "lgdt/p Ms", "lidt/p Ms", "smsw Ew", "-", "lmsw/p Ew", "invlpg/p Mb",
      ].map(parse)
      groups["8"] = ["-", "-", "-", "-", "bt Ev,Ib", "bts/l Ev,Ib", "btr/l Ev,Ib", "btc/l Ev,Ib"]
        .map(parse)
      set(
        &two,
        [
          (0x02, "lar/m Gv,Ew"), (0x03, "lsl/m Gv,Ew"), (0x05, "syscall/c"), (0x06, "clts/p"),
          (0x07, "sysret/c"), (0x08, "invd/p"), (0x09, "wbinvd/p"), (0x0B, "ud/c"),
          (0x0D, "prefetchw Ev"), (0x18, "nop Ev"), (0x19, "nop Ev"), (0x1A, "nop Ev"),
          (0x1B, "nop Ev"), (0x1C, "nop Ev"), (0x1D, "nop Ev"), (0x1E, "nop Ev"), (0x1F, "nop Ev"),
          (0x20, "movControl/p Rd,Cd"), (0x21, "movDebug Rd,Dd"), (0x22, "movControl/p Cd,Rd"),
          (0x23, "movDebug Dd,Rd"),
          (0x30, "wrmsr/p"), (0x31, "rdtsc"), (0x32, "rdmsr/p"), (0x33, "rdpmc"),
          (0x34, "sysenter/c"), (0x35, "sysexit/c"),
          (0xA0, "pushSegment/d S4"), (0xA1, "popSegment/d S4"), (0xA2, "cpuid"),
          (0xA3, "bt Ev,Gv"), (0xA4, "shld Ev,Gv,Ib"), (0xA5, "shld Ev,Gv,CL"),
          (0xA8, "pushSegment/d S5"), (0xA9, "popSegment/d S5"), (0xAA, "rsm/c"),
          (0xAB, "bts/l Ev,Gv"), (0xAC, "shrd Ev,Gv,Ib"), (0xAD, "shrd Ev,Gv,CL"),
          (0xAF, "imul Gv,Ev"),
          (0xB0, "cmpxchg/l Eb,Gb"), (0xB1, "cmpxchg/l Ev,Gv"), (0xB2, "lss Gv,Mp"),
          (0xB3, "btr/l Ev,Gv"), (0xB4, "lfs Gv,Mp"), (0xB5, "lgs Gv,Mp"), (0xB6, "movzx Gv,Eb"),
          (0xB7, "movzx Gv,Ew"),
          (0xBB, "btc/l Ev,Gv"), (0xBC, "bsf Gv,Ev"), (0xBD, "bsr Gv,Ev"), (0xBE, "movsx Gv,Eb"),
          (0xBF, "movsx Gv,Ew"), (0xC0, "xadd/l Eb,Gb"), (0xC1, "xadd/l Ev,Gv"),
          (0xC3, "mov Ev,Gv"),
        ])
      groups["pop"] = [
        parse("popcnt Gv,Ev"), parse("tzcnt Gv,Ev"), parse("lzcnt Gv,Ev"), parse("pause"),
        parse("arpl/nm Ew,Gw"), parse("les/n Gv,Mp"), parse("lds/n Gv,Mp"), parse("cmpxchg8b/l Mq"),
      ]
      groups["x"] = [
        parse("cmpxchg16b/l Mo"), parse("rdrand Ev"), parse("rdseed Ev"), parse("swapgs/po"),
        parse("rdtscp"), parse("xgetbv"), parse("xsetbv/p"), parse("vmcall"), parse("vmmcall"),
        parse("clac"), parse("stac"), parse("nop"), parse("endbr"), parse("lfence"),
        parse("mfence"), parse("sfence"), parse("clflush Mb"), parse("rdfsbase/o Ev"),
        parse("rdgsbase/o Ev"), parse("wrfsbase/o Ev"), parse("wrgsbase/o Ev"), parse("rdpid Ev"),
        parse("invpcid/p Gv,M"),
      ]
      self.one = one; self.two = two; self.groups = groups
    }
  }

  func decode(_ s: RawSpan, into i: inout Instruction) -> DecodeOutcome {
    let n = s.byteCount
    var pos = 0
    i = .empty
    func fail() -> DecodeOutcome { n >= 15 ? .tooLong : .needsMoreBytes }
    func byte(_ at: Int) -> UInt8 { unsafe s.unsafeLoad(fromByteOffset: at, as: UInt8.self) }
    let is64 = mode == .bits64
    var rex: UInt8 = 0
    var seg: UInt8?
    var f2 = false, f3 = false
    while true {
      guard pos < n else { return fail() }
      let b = byte(pos)
      var isPrefix = true
      switch b {
      case 0x66: i.prefixes.insert(.operandSize)
      case 0x67: i.prefixes.insert(.addressSize)
      case 0xF0: i.prefixes.insert(.lock)
      case 0xF2: f2 = true; f3 = false
      case 0xF3: f3 = true; f2 = false
      case 0x26: if !is64 { seg = 0 }
      case 0x2E: if !is64 { seg = 1 }
      case 0x36: if !is64 { seg = 2 }
      case 0x3E: if !is64 { seg = 3 }
      case 0x64: seg = 4
      case 0x65: seg = 5
      case 0x40...0x4F where is64: rex = b; pos += 1; continue
      default: isPrefix = false
      }
      if !isPrefix { break }
      rex = 0
      pos += 1
    }
    if rex != 0 { i.prefixes.insert(.rex) }
    let w = rex & 8 != 0
    if w { i.prefixes.insert(.rexW) }
    let opc = byte(pos)
    pos += 1
    i.opcode = opc
    var row: Row?
    let t = Decoder.tables
    var modrmAt = -1
    func peekModRM() -> UInt8? { pos < n ? byte(pos) : nil }
    if opc == 0x0F {
      guard pos < n else { return fail() }
      let o2 = byte(pos)
      pos += 1
      i.opcode = o2
      i.map = .map0F
      row = t.two[Int(o2)]; if o2 == 0x38 || o2 == 0x3A { row = nil }
      switch o2 {
      case 0x00, 0x01, 0xBA, 0xC7, 0xAE, 0xB8, 0xBC, 0xBD, 0x1E:
        guard let m = peekModRM() else { return fail() }
        let g = Int(m >> 3 & 7)
        let reg = m >> 6 == 3
        switch o2 {
        case 0x00: row = t.groups["6"]![g]
        case 0xBA: row = t.groups["8"]![g]
        case 0xB8: row = f3 ? t.groups["pop"]![0] : nil
        case 0xBC: if f3 { row = t.groups["pop"]![1] }
        case 0xBD: if f3 { row = t.groups["pop"]![2] }
        case 0x1E: if f3, m == 0xFA || m == 0xFB { row = t.groups["x"]![12]; pos += 1 }
        case 0x01:
          if !reg {
            row = t.groups["7m"]![g]
          } else {
            let x = t.groups["x"]!
            switch m {
            case 0xC1: row = x[7]
            case 0xD9: row = x[8]
            case 0xCA: row = x[9]
            case 0xCB: row = x[10]
            case 0xD0: row = x[5]
            case 0xD1: row = x[6]
            case 0xF8: row = is64 ? x[3] : nil
            case 0xF9: row = x[4]
            default: row = g == 4 || g == 6 ? t.groups["7m"]![g] : nil
            }
            if row != nil, g != 4, g != 6 { pos += 1 }
          }
        case 0xC7:
          let x = t.groups["x"]!
          if reg {
            row = g == 6 ? x[1] : (g == 7 ? (f3 ? x[21] : x[2]) : nil)
          } else {
            row = g == 1 ? (w ? x[0] : t.groups["pop"]![7]) : nil
          }
        default:  // AE
          let x = t.groups["x"]!
          if reg {
            if f3, g < 4 {
              row = x[17 + g]
            } else {
              row = g == 5 ? x[13] : (g == 6 ? x[14] : (g == 7 ? x[15] : nil));
              if row != nil { pos += 1 }
            }
          } else {
            row = g == 7 ? x[16] : nil
          }
        }
      default: break
      }
    } else {
      row = t.one[Int(opc)]
      func group(_ n: String) -> Bool {
        guard let m = peekModRM() else { return false }
        row = t.groups[n]![Int(m >> 3 & 7)]
        return true
      }
      switch opc {
      case 0x80, 0x82:
        if opc == 0x82, is64 { row = nil } else { guard group("1b") else { return fail() } }
      case 0x81: guard group("1v") else { return fail() }
      case 0x83: guard group("1s") else { return fail() }
      case 0xC0: guard group("2bI") else { return fail() }
      case 0xC1: guard group("2vI") else { return fail() }
      case 0xD0: guard group("2b1") else { return fail() }
      case 0xD1: guard group("2v1") else { return fail() }
      case 0xD2: guard group("2bC") else { return fail() }
      case 0xD3: guard group("2vC") else { return fail() }
      case 0xF6: guard group("3b") else { return fail() }
      case 0xF7: guard group("3v") else { return fail() }
      case 0xFE: guard group("4") else { return fail() }
      case 0xFF: guard group("5") else { return fail() }
      case 0xC6: guard group("11b") else { return fail() }
      case 0xC7: guard group("11v") else { return fail() }
      case 0x90: if rex & 1 == 0 { row = f3 ? t.groups["pop"]![3] : t.groups["x"]![11] }
      case 0x63: if !is64 { row = t.groups["pop"]![4] }
      case 0xC4: if !is64 { row = t.groups["pop"]![5] }
      case 0xC5: if !is64 { row = t.groups["pop"]![6] }
      default: break
      }
    }
    var host: String?
    if row == nil || (opc == 0x0F && !f3 && !f2 && [0x77].contains(i.opcode)) {
      // Host-executed.
      let p = f3 ? "F3" : (f2 ? "F2" : (i.prefixes.contains(.operandSize) ? "6" : "N"))
      if opc == 0x0F {
        var key = "\(p)0F"
        if i.opcode == 0x38 || i.opcode == 0x3A {
          guard pos < n else { return fail() }
          key += i.opcode == 0x38 ? "38" : "3A"
          i.map = i.opcode == 0x38 ? .map0F38 : .map0F3A
          i.opcode = byte(pos)
          pos += 1
        }
        let hex = String(i.opcode, radix: 16, uppercase: true)
        host = hostRows[key + ":" + (hex.count < 2 ? "0" + hex : hex)]
        if i.map == .map0F38, i.opcode == 0xF0 || i.opcode == 0xF1 {
          if f2 {
            row = Row(operation: .crc32, codes: ["Gv", i.opcode == 0xF0 ? "Eb" : "Ev"])
          } else if !f3 {
            row = Row(operation: .movbe, codes: i.opcode == 0xF0 ? ["Gv", "Ev"] : ["Ev", "Gv"])
          }
        }
        if i.map == .map0F38, i.opcode == 0xF6 {
          row =
            f3
            ? Row(operation: .adox, codes: ["Gv", "Ev"])
            : (p == "6" ? Row(operation: .adcx, codes: ["Gv", "Ev"]) : nil)
        }
        if i.map == .map0F38, i.opcode == 0x82, p == "6" { row = t.groups["x"]![22] }
        if i.map == .map0F, i.opcode == 0xAE, let m = peekModRM(), m >> 6 != 3, p == "N" {
          let g = Int(m >> 3 & 7)
          let ops: [Operation] = [
            .fxsave, .fxrstor, .ldmxcsr, .stmxcsr, .xsave, .xrstor, .xsaveopt, .clflush,
          ]
          row = Row(operation: ops[g], codes: ["M"])
        }
      } else if opc & 0xF8 == 0xD8 {
        guard let m = peekModRM() else { return fail() }
        let g = Int(m >> 3 & 7)
        if m >> 6 == 3 {
          host = "0xr"
          if opc == 0xDF, m == 0xE0 { host = "0xrA" }
          if (opc == 0xDB || opc == 0xDF), (5...6).contains(g) { host = "0xrf" }
        } else {
          let env = i.prefixes.contains(.operandSize) == (mode == .bits16) ? "28" : "14"
          let sav = env == "28" ? "108" : "94"
          let specs: [[String]] = [
            Array(repeating: "4l", count: 8),
            ["4l", "", "4s", "4s", env + "l", "2l", env + "s", "2s"],
            Array(repeating: "4l", count: 8),
            ["4l", "4s", "4s", "4s", "", "10l", "", "10s"],
            Array(repeating: "8l", count: 8),
            ["8l", "8s", "8s", "8s", sav + "l", "", sav + "s", "2s"],
            Array(repeating: "2l", count: 8),
            ["2l", "2s", "2s", "2s", "10l", "8l", "10s", "8s"],
          ]
          let sp = specs[Int(opc & 7)][g]
          host = sp == "" ? nil : sp + "x"
        }
      } else if opc == 0x9B {
        host = "0zx"
      }
      if row == nil, let host {
        var r = Row(operation: .fwait, codes: [])
        r.codes = host.contains("z") ? [] : [host.contains("i") ? "H," : "H"]
        r.feature = .other
        row = r
      }
    }
    guard let row, !(row.not64 && is64), !(row.only64 && !is64) else {
      i.length = UInt8(pos); return .invalid
    }
    i.operation = row.operation
    i.traits = row.traits
    if f3 { i.prefixes.insert(.repeatEqual) }
    if f2 { i.prefixes.insert(.repeatNotEqual) }
    let base: UInt8 = is64 ? 4 : mode.rawValue
    var osz: UInt8 = i.prefixes.contains(.operandSize) ? (base == 4 ? 2 : 4) : base
    if is64 {
      if w { osz = 8 } else if row.f64 { osz = 8 } else if row.d64 { osz = osz == 2 ? 2 : 8 }
    }
    let asz: UInt8 =
      i.prefixes.contains(.addressSize)
      ? (mode == .bits64 ? 4 : (mode == .bits32 ? 2 : 4)) : mode.rawValue
    i.addressSize = asz
    i.operandSize = osz
    let needs = row.codes.contains { c in
      "EGMSRCDPVWQH".contains(c.first!) && c != "DX" && c != "CL" && c != "S0" && c != "S1"
        && c != "S2" && c != "S3" && c != "S4" && c != "S5"
    }
    var defaultSeg: UInt8 = 3
    if needs {
      guard pos < n else { return fail() }
      let m = byte(pos)
      modrmAt = pos
      pos += 1
      i.hasModRM = true
      i.modRM = m
      i.reg = (m >> 3 & 7) | (rex & 4) << 1
      let mod = m >> 6
      let control = row.codes.contains("Cd") || row.codes.contains("Dd")
      if mod == 3 || control {
        i.rm = (m & 7) | (rex & 1) << 3
      } else {
        i.hasMemoryOperand = true
        var dispSize = mod == 1 ? 1 : (mod == 2 ? (asz == 2 ? 2 : 4) : 0)
        if asz == 2 {
          let bases: [(UInt8, UInt8)] = [
            (3, 6), (3, 7), (5, 6), (5, 7), (6, 16), (7, 16), (5, 16), (3, 16),
          ]
          (i.base, i.index) = bases[Int(m & 7)]
          if mod == 0, m & 7 == 6 { i.base = 16; dispSize = 2 }
          if i.base == 5 { defaultSeg = 2 }
        } else if m & 7 == 4 {
          guard pos < n else { return fail() }
          let sib = byte(pos)
          pos += 1
          i.scale = sib >> 6
          i.index = (sib >> 3 & 7) | (rex & 2) << 2
          if i.index == 4 { i.index = 16 }
          i.base = (sib & 7) | (rex & 1) << 3
          if sib & 7 == 5, mod == 0 { i.base = 16; dispSize = 4 }
          if i.base == 4 || i.base == 5 { defaultSeg = 2 }
        } else {
          i.base = (m & 7) | (rex & 1) << 3
          if m & 7 == 5, mod == 0 { dispSize = 4; i.base = is64 ? 17 : 16 }
          if i.base == 5 { defaultSeg = 2 }
        }
        guard pos + dispSize <= n else { return fail() }
        var d: Int64 = 0
        for k in 0..<dispSize { d |= Int64(byte(pos + k)) << (8 * Int64(k)) }
        if dispSize > 0 { let s = Int64(64 - 8 * dispSize); d = (d << s) >> s }
        i.displacement = d
        pos += dispSize
      }
    }
    _ = modrmAt
    i.segment = seg ?? defaultSeg
    i.hasSegmentOverride = seg != nil
    func imm(_ size: Int, signed: Bool) -> Int64? {
      guard pos + size <= n else { return nil }
      var d: Int64 = 0
      for k in 0..<size { d |= Int64(byte(pos + k)) << (8 * Int64(k)) }
      if signed, size < 8 { let s = Int64(64 - 8 * size); d = (d << s) >> s }
      pos += size
      return d
    }
    func gen(_ num: UInt8, _ size: UInt16) -> Operand {
      if size == 1, rex == 0, num >= 4, num < 8 {
        return Operand(kind: .general, number: num + 12, byteCount: 1, access: .readWrite)
      }
      return Operand(kind: .general, number: num, byteCount: size, access: .readWrite)
    }
    func size(_ c: Character) -> UInt16 {
      switch c {
      case "b": 1;
      case "w": 2;
      case "d": 4;
      case "q": 8;
      case "o": 16;
      case "s": 10;
      default: UInt16(osz)
      }
    }
    let zsz = UInt16(min(osz, 4))
    for (k, c) in row.codes.enumerated() {
      var o = Operand()
      let last = c.last!
      switch c {
      case "H", "H,":
        var sz = UInt16(host!.prefix { $0.isNumber }) ?? (w ? 8 : 4)
        if host!.hasPrefix("0") { sz = 0 }
        o = Operand(kind: .memory, byteCount: sz, access: host!.contains("s") ? .write : .read)
        if host!.contains("r"), i.hasMemoryOperand { i.length = UInt8(pos); return .invalid }
        if host!.contains("m"), !i.hasMemoryOperand { i.length = UInt8(pos); return .invalid }
        if host!.contains("a") { i.traits.insert(.alignedOperand) }
        if host!.contains("f") { i.traits.insert(.writesFlags) }
        i.traits.insert(host!.contains("x") ? .x87 : .sse)
        i.operands[1] = Operand(
          kind: .general,
          number: host!.contains("g")
            ? 1 : (host!.contains("e") && !i.hasMemoryOperand ? 2 : (host!.contains("A") ? 3 : 0)),
          byteCount: 8, access: .readWrite)
        if host!.contains("c") { i.traits.insert(.readsFlags) }
        if c == "H," { guard let v = imm(1, signed: false) else { return fail() }; i.immediate = v }
        i.mandatoryPrefix = f3 ? 0xF3 : (f2 ? 0xF2 : (i.prefixes.contains(.operandSize) ? 0x66 : 0))
        i.immediate2 = host!.contains("i") ? 1 : 0
        i.operands[2].kind = .x87
      case "AL": o = gen(0, 1)
      case "rAX": o = gen(0, UInt16(osz))
      case "eAX": o = gen(0, zsz)
      case "DX": o = gen(2, 2)
      case "CL": o = gen(1, 1)
      case "1": o.kind = .one
      case "b": i.operandSize = 1
      case "z": i.operandSize = UInt8(zsz)
      case "v": break
      case "Ib":
        guard let v = imm(1, signed: row.operation != .enter) else { return fail() }
        if row.operation == .enter { i.immediate2 = UInt16(v) } else { i.immediate = v }
        o.kind = .immediate
      case "Ibs":
        guard let v = imm(1, signed: true) else { return fail() }; i.immediate = v;
        o.kind = .immediate
      case "Iw":
        guard let v = imm(2, signed: false) else { return fail() }; i.immediate = v;
        o.kind = .immediate
      case "Iz":
        guard let v = imm(Int(zsz), signed: true) else { return fail() }; i.immediate = v;
        o.kind = .immediate
      case "Iv":
        guard let v = imm(Int(osz), signed: true) else { return fail() }; i.immediate = v;
        o.kind = .immediate
      case "Jb":
        guard let v = imm(1, signed: true) else { return fail() }; i.immediate = v;
        o.kind = .relative
      case "Jz":
        guard let v = imm(osz == 2 ? 2 : 4, signed: true) else { return fail() }; i.immediate = v;
        o.kind = .relative
      case "Ap":
        guard let v = imm(Int(zsz), signed: false), let sl = imm(2, signed: false) else {
          return fail()
        }
        i.immediate = v; i.immediate2 = UInt16(sl); o.kind = .farPointer
      case "Ob", "Ov":
        guard let v = imm(Int(asz), signed: false) else { return fail() }
        i.displacement = v; i.hasMemoryOperand = true
        o = Operand(kind: .memory, byteCount: last == "b" ? 1 : UInt16(osz), access: .readWrite)
      case "S0", "S1", "S2", "S3", "S4", "S5":
        o = Operand(kind: .segment, number: UInt8(c.dropFirst())!, byteCount: 2, access: .readWrite)
      case "Sw": o = Operand(kind: .segment, number: i.reg & 7, byteCount: 2, access: .readWrite)
      case "Cd": o = Operand(kind: .control, number: i.reg, byteCount: 8, access: .readWrite)
      case "Dd": o = Operand(kind: .debug, number: i.reg, byteCount: 8, access: .readWrite)
      case "Rd": o = gen(i.rm, 8)
      default:
        let sz = size(last)
        switch c.first! {
        case "G": o = gen(i.reg, sz)
        case "Z": i.rm = (i.opcode & 7) | (rex & 1) << 3; o = gen(i.rm, sz)
        case "E", "M":
          o =
            i.hasMemoryOperand
            ? Operand(kind: .memory, byteCount: sz, access: .readWrite) : gen(i.rm, sz)
          if c.first! == "M", !i.hasMemoryOperand { i.length = UInt8(pos); return .invalid }
          if last == "b" { i.operandSize = 1 }
        default: fatalError(c)
        }
      }
      i.operands[k] = o
    }
    if host != nil, row.codes.isEmpty { i.traits.insert(.x87); i.operands[2].kind = .x87 }
    guard pos <= 15 else { return .tooLong }
    i.length = UInt8(pos)
    if i.prefixes.contains(.lock), !(row.traits.contains(.lockable) && i.hasMemoryOperand) {
      return .invalid
    }
    return .decoded
  }
}
