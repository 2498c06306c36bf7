extension OpcodeSection {
  /// One-byte opcodes: arithmetic and logic.
  static let arithmetic = OpcodeSection(
    .base,
    rows: """
      00   .   .  add  Eb,Gb     x lock wf
      01   .   .  add  Ev,Gv     x lock wf
      02   .   .  add  Gb,Eb     x wf
      03   .   .  add  Gv,Ev     x wf
      04   .   .  add  AL,Ib     x wf
      05   .   .  add  rAX,Iz    x wf
      08   .   .  or   Eb,Gb     x lock wf
      09   .   .  or   Ev,Gv     x lock wf
      0A   .   .  or   Gb,Eb     x wf
      0B   .   .  or   Gv,Ev     x wf
      0C   .   .  or   AL,Ib     x wf
      0D   .   .  or   rAX,Iz    x wf
      10   .   .  adc  Eb,Gb     x lock wf rf
      11   .   .  adc  Ev,Gv     x lock wf rf
      12   .   .  adc  Gb,Eb     x wf rf
      13   .   .  adc  Gv,Ev     x wf rf
      14   .   .  adc  AL,Ib     x wf rf
      15   .   .  adc  rAX,Iz    x wf rf
      18   .   .  sbb  Eb,Gb     x lock wf rf
      19   .   .  sbb  Ev,Gv     x lock wf rf
      1A   .   .  sbb  Gb,Eb     x wf rf
      1B   .   .  sbb  Gv,Ev     x wf rf
      1C   .   .  sbb  AL,Ib     x wf rf
      1D   .   .  sbb  rAX,Iz    x wf rf
      20   .   .  and  Eb,Gb     x lock wf
      21   .   .  and  Ev,Gv     x lock wf
      22   .   .  and  Gb,Eb     x wf
      23   .   .  and  Gv,Ev     x wf
      24   .   .  and  AL,Ib     x wf
      25   .   .  and  rAX,Iz    x wf
      28   .   .  sub  Eb,Gb     x lock wf
      29   .   .  sub  Ev,Gv     x lock wf
      2A   .   .  sub  Gb,Eb     x wf
      2B   .   .  sub  Gv,Ev     x wf
      2C   .   .  sub  AL,Ib     x wf
      2D   .   .  sub  rAX,Iz    x wf
      30   .   .  xor  Eb,Gb     x lock wf
      31   .   .  xor  Ev,Gv     x lock wf
      32   .   .  xor  Gb,Eb     x wf
      33   .   .  xor  Gv,Ev     x wf
      34   .   .  xor  AL,Ib     x wf
      35   .   .  xor  rAX,Iz    x wf
      38   .   .  cmp  Eb,Gb     r wf
      39   .   .  cmp  Ev,Gv     r wf
      3A   .   .  cmp  Gb,Eb     r wf
      3B   .   .  cmp  Gv,Ev     r wf
      3C   .   .  cmp  AL,Ib     r wf
      3D   .   .  cmp  rAX,Iz    r wf
      80   .   /0 add  Eb,Ib     x lock wf
      80   .   /1 or   Eb,Ib     x lock wf
      80   .   /2 adc  Eb,Ib     x lock wf rf
      80   .   /3 sbb  Eb,Ib     x lock wf rf
      80   .   /4 and  Eb,Ib     x lock wf
      80   .   /5 sub  Eb,Ib     x lock wf
      80   .   /6 xor  Eb,Ib     x lock wf
      80   .   /7 cmp  Eb,Ib     r wf
      81   .   /0 add  Ev,Iz     x lock wf
      81   .   /1 or   Ev,Iz     x lock wf
      81   .   /2 adc  Ev,Iz     x lock wf rf
      81   .   /3 sbb  Ev,Iz     x lock wf rf
      81   .   /4 and  Ev,Iz     x lock wf
      81   .   /5 sub  Ev,Iz     x lock wf
      81   .   /6 xor  Ev,Iz     x lock wf
      81   .   /7 cmp  Ev,Iz     r wf
      82   I64 /0 add  Eb,Ib     x lock wf
      82   I64 /1 or   Eb,Ib     x lock wf
      82   I64 /2 adc  Eb,Ib     x lock wf rf
      82   I64 /3 sbb  Eb,Ib     x lock wf rf
      82   I64 /4 and  Eb,Ib     x lock wf
      82   I64 /5 sub  Eb,Ib     x lock wf
      82   I64 /6 xor  Eb,Ib     x lock wf
      82   I64 /7 cmp  Eb,Ib     r wf
      83   .   /0 add  Ev,Ibs    x lock wf
      83   .   /1 or   Ev,Ibs    x lock wf
      83   .   /2 adc  Ev,Ibs    x lock wf rf
      83   .   /3 sbb  Ev,Ibs    x lock wf rf
      83   .   /4 and  Ev,Ibs    x lock wf
      83   .   /5 sub  Ev,Ibs    x lock wf
      83   .   /6 xor  Ev,Ibs    x lock wf
      83   .   /7 cmp  Ev,Ibs    r wf
      C0   .   /0 rol  Eb,Ib     x wf
      C0   .   /1 ror  Eb,Ib     x wf
      C0   .   /2 rcl  Eb,Ib     x wf rf
      C0   .   /3 rcr  Eb,Ib     x wf rf
      C0   .   /4 shl  Eb,Ib     x wf
      C0   .   /5 shr  Eb,Ib     x wf
      C0   .   /6 shl  Eb,Ib     x wf
      C0   .   /7 sar  Eb,Ib     x wf
      C1   .   /0 rol  Ev,Ib     x wf
      C1   .   /1 ror  Ev,Ib     x wf
      C1   .   /2 rcl  Ev,Ib     x wf rf
      C1   .   /3 rcr  Ev,Ib     x wf rf
      C1   .   /4 shl  Ev,Ib     x wf
      C1   .   /5 shr  Ev,Ib     x wf
      C1   .   /6 shl  Ev,Ib     x wf
      C1   .   /7 sar  Ev,Ib     x wf
      D0   .   /0 rol  Eb,1      x wf
      D0   .   /1 ror  Eb,1      x wf
      D0   .   /2 rcl  Eb,1      x wf rf
      D0   .   /3 rcr  Eb,1      x wf rf
      D0   .   /4 shl  Eb,1      x wf
      D0   .   /5 shr  Eb,1      x wf
      D0   .   /6 shl  Eb,1      x wf
      D0   .   /7 sar  Eb,1      x wf
      D1   .   /0 rol  Ev,1      x wf
      D1   .   /1 ror  Ev,1      x wf
      D1   .   /2 rcl  Ev,1      x wf rf
      D1   .   /3 rcr  Ev,1      x wf rf
      D1   .   /4 shl  Ev,1      x wf
      D1   .   /5 shr  Ev,1      x wf
      D1   .   /6 shl  Ev,1      x wf
      D1   .   /7 sar  Ev,1      x wf
      D2   .   /0 rol  Eb,CL     x wf
      D2   .   /1 ror  Eb,CL     x wf
      D2   .   /2 rcl  Eb,CL     x wf rf
      D2   .   /3 rcr  Eb,CL     x wf rf
      D2   .   /4 shl  Eb,CL     x wf
      D2   .   /5 shr  Eb,CL     x wf
      D2   .   /6 shl  Eb,CL     x wf
      D2   .   /7 sar  Eb,CL     x wf
      D3   .   /0 rol  Ev,CL     x wf
      D3   .   /1 ror  Ev,CL     x wf
      D3   .   /2 rcl  Ev,CL     x wf rf
      D3   .   /3 rcr  Ev,CL     x wf rf
      D3   .   /4 shl  Ev,CL     x wf
      D3   .   /5 shr  Ev,CL     x wf
      D3   .   /6 shl  Ev,CL     x wf
      D3   .   /7 sar  Ev,CL     x wf
      27   I64 .  daa  .         . wf rf
      2F   I64 .  das  .         . wf rf
      37   I64 .  aaa  .         . wf rf
      3F   I64 .  aas  .         . wf rf
      40+r I64 .  inc  Zv        x wf
      48+r I64 .  dec  Zv        x wf
      69   .   .  imul Gv,Ev,Iz  w wf
      6B   .   .  imul Gv,Ev,Ibs w wf
      84   .   .  test Eb,Gb     r wf
      85   .   .  test Ev,Gv     r wf
      A8   .   .  test AL,Ib     r wf
      A9   .   .  test rAX,Iz    r wf
      D4   I64 .  aam  Ib        r wf
      D5   I64 .  aad  Ib        r wf
      F6   .   /0 test Eb,Ib     r wf
      F6   .   /1 test Eb,Ib     r wf
      F6   .   /2 not  Eb        x lock
      F6   .   /3 neg  Eb        x lock wf
      F6   .   /4 mul  Eb        r wf
      F6   .   /5 imul Eb        r wf
      F6   .   /6 div  Eb        r wf
      F6   .   /7 idiv Eb        r wf
      F7   .   /0 test Ev,Iz     r wf
      F7   .   /1 test Ev,Iz     r wf
      F7   .   /2 not  Ev        x lock
      F7   .   /3 neg  Ev        x lock wf
      F7   .   /4 mul  Ev        r wf
      F7   .   /5 imul Ev        r wf
      F7   .   /6 div  Ev        r wf
      F7   .   /7 idiv Ev        r wf
      FE   .   /0 inc  Eb        x lock wf
      FE   .   /1 dec  Eb        x lock wf
      FF   .   /0 inc  Ev        x lock wf
      FF   .   /1 dec  Ev        x lock wf
      """)

  /// One-byte opcodes: moves and the stack.
  static let moves = OpcodeSection(
    .base,
    rows: """
      06   I64 .  pushSegment ES      r
      07   I64 .  popSegment  ES      w
      0E   I64 .  pushSegment CS      r
      16   I64 .  pushSegment SS      r
      17   I64 .  popSegment  SS      w
      1E   I64 .  pushSegment DS      r
      1F   I64 .  popSegment  DS      w
      50+r .   .  push        Zv      r  d64
      58+r .   .  pop         Zv      w  d64
      60   I64 .  pusha       .
      61   I64 .  popa        .
      63   O64 .  movsxd      Gv,Ez   w
      68   .   .  push        Iz      r  d64
      6A   .   .  push        Ibs     r  d64
      86   .   .  xchg        Eb,Gb   xx lock
      87   .   .  xchg        Ev,Gv   xx lock
      88   .   .  mov         Eb,Gb   w
      89   .   .  mov         Ev,Gv   w
      8A   .   .  mov         Gb,Eb   w
      8B   .   .  mov         Gv,Ev   w
      8C   .   .  movSegment  Ev/w,Sw w
      8D   .   .  lea         Gv,M    w
      8E   .   .  movSegment  Sw,Ew   w
      8F   .   /0 pop         Ev      w  d64
      90   .   .  nop         .
      90   F3  .  pause       .
      91   .   .  xchg        Zv,rAX  xx
      92   .   .  xchg        Zv,rAX  xx
      93   .   .  xchg        Zv,rAX  xx
      94   .   .  xchg        Zv,rAX  xx
      95   .   .  xchg        Zv,rAX  xx
      96   .   .  xchg        Zv,rAX  xx
      97   .   .  xchg        Zv,rAX  xx
      98   .   .  cbw         .
      99   .   .  cwd         .
      9C   .   .  pushf       .       .  d64 rf
      9D   .   .  popf        .       .  d64 wf
      9E   .   .  sahf        .       .  wf @lahf64
      9F   .   .  lahf        .       .  rf @lahf64
      A0   .   .  mov         AL,Ob   w
      A1   .   .  mov         rAX,Ov  w
      A2   .   .  mov         Ob,AL   w
      A3   .   .  mov         Ov,rAX  w
      B0+r .   .  mov         Zb,Ib   w
      B8+r .   .  mov         Zv,Iv   w
      C4   I64 .  les         Gv,Mp   w
      C5   I64 .  lds         Gv,Mp   w
      C6   .   /0 mov         Eb,Ib   w
      C7   .   /0 mov         Ev,Iz   w
      C8   .   .  enter       Iw,Ib   r  d64
      C9   .   .  leave       .       .  d64
      D7   .   .  xlat        .
      FF   .   /6 push        Ev      r  d64
      """)

  /// String instructions and port I/O.
  static let strings = OpcodeSection(
    .base,
    rows: """
      6C . . ins  Yb,DX  w rep
      6D . . ins  Yz,DX  w rep
      6E . . outs DX,Xb  r rep
      6F . . outs DX,Xz  r rep
      A4 . . movs Yb,Xb  w rep
      A5 . . movs Yv,Xv  w rep
      A6 . . cmps Xb,Yb  r rep wf
      A7 . . cmps Xv,Yv  r rep wf
      AA . . stos Yb,AL  w rep
      AB . . stos Yv,rAX w rep
      AC . . lods AL,Xb  w rep
      AD . . lods rAX,Xv w rep
      AE . . scas AL,Yb  r rep wf
      AF . . scas rAX,Yv r rep wf
      E4 . . in   AL,Ib  w
      E5 . . in   eAX,Ib w
      E6 . . out  Ib,AL  r
      E7 . . out  Ib,eAX r
      EC . . in   AL,DX  w
      ED . . in   eAX,DX w
      EE . . out  DX,AL  r
      EF . . out  DX,eAX r
      """)

  /// Branches, interrupts and flags.
  static let branches = OpcodeSection(
    .base,
    rows: """
      62   I64 .   bound        Gv,Ma r
      63   I64 .   arpl         Ew,Gw x wf pm
      70+c .   .   jcc          Jb    r f64 cf rf
      9A   I64 .   callFar      Ap    r cf
      C2   .   .   ret          Iw    r f64 cf
      C3   .   .   ret          .     . f64 cf
      C6   .   =F8 xabort       Ib    r cf @rtm
      C7   .   =F8 xbegin       Jz    r cf @rtm
      CA   .   .   retFar       Iw    r cf
      CB   .   .   retFar       .     . cf
      CC   .   .   int3         .     . cf
      CD   .   .   intImmediate Ib    r cf
      CE   I64 .   into         .     . cf rf
      CF   .   .   iret         .     . cf wf
      E0   .   .   loopne       Jb    r f64 cf rf
      E1   .   .   loope        Jb    r f64 cf rf
      E2   .   .   loop         Jb    r f64 cf
      E3   .   .   jcxz         Jb    r f64 cf
      E8   .   .   call         Jz    r f64 cf
      E9   .   .   jmp          Jz    r f64 cf
      EA   I64 .   jmpFar       Ap    r cf
      EB   .   .   jmp          Jb    r f64 cf
      F1   .   .   int1         .     . cf
      F4   .   .   hlt          .     . cf priv
      F5   .   .   cmc          .     . wf rf
      F8   .   .   clc          .     . wf
      F9   .   .   stc          .     . wf
      FA   .   .   cli          .
      FB   .   .   sti          .
      FC   .   .   cld          .
      FD   .   .   std          .
      FF   .   /2  call         Ev    r f64 cf
      FF   .   /3  callFar      Mp    r cf
      FF   .   /4  jmp          Ev    r f64 cf
      FF   .   /5  jmpFar       Mp    r cf
      """)
}
