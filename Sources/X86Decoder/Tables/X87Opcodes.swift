extension OpcodeSection {
  /// The x87 escapes (SDM 2D tables A-7…A-22), memory and register forms.
  static let x87 = OpcodeSection(
    .fpu, .x87,
    rows: """
      D8 . /0m fadd     ST0,Md  x
      D8 . /0r fadd     ST0,STi x
      D8 . /1m fmul     ST0,Md  x
      D8 . /1r fmul     ST0,STi x
      D8 . /2m fcom     ST0,Md  r
      D8 . /2r fcom     ST0,STi r
      D8 . /3m fcomp    ST0,Md  r
      D8 . /3r fcomp    ST0,STi r
      D8 . /4m fsub     ST0,Md  x
      D8 . /4r fsub     ST0,STi x
      D8 . /5m fsubr    ST0,Md  x
      D8 . /5r fsubr    ST0,STi x
      D8 . /6m fdiv     ST0,Md  x
      D8 . /6r fdiv     ST0,STi x
      D8 . /7m fdivr    ST0,Md  x
      D8 . /7r fdivr    ST0,STi x
      D9 . /0m fld      ST0,Md  w
      D9 . /0r fld      ST0,STi w
      D9 . /1r fxch     ST0,STi xx
      D9 . /2m fst      Md,ST0  w
      D9 . =D0 fnop     .       .  ctl
      D9 . /3m fstp     Md,ST0  w
      D9 . /3r fstp     STi,ST0 w
      D9 . /4m fldenv   Menv    r  ctl
      D9 . =E0 fchs     ST0     x
      D9 . =E1 fabs     ST0     x
      D9 . =E4 ftst     ST0     r
      D9 . =E5 fxam     ST0     r
      D9 . /5m fldcw    Mw      r  ctl
      D9 . =E8 fld1     ST0     w
      D9 . =E9 fldl2t   ST0     w
      D9 . =EA fldl2e   ST0     w
      D9 . =EB fldpi    ST0     w
      D9 . =EC fldlg2   ST0     w
      D9 . =ED fldln2   ST0     w
      D9 . =EE fldz     ST0     w
      D9 . /6m fnstenv  Menv    w  nw ctl
      D9 . =F0 f2xm1    ST0     x
      D9 . =F1 fyl2x    ST0     x
      D9 . =F2 fptan    ST0     x
      D9 . =F3 fpatan   ST0     x
      D9 . =F4 fxtract  ST0     x
      D9 . =F5 fprem1   ST0     x
      D9 . =F6 fdecstp  .       .  ctl
      D9 . =F7 fincstp  .       .  ctl
      D9 . /7m fnstcw   Mw      w  nw ctl
      D9 . =F8 fprem    ST0     x
      D9 . =F9 fyl2xp1  ST0     x
      D9 . =FA fsqrt    ST0     x
      D9 . =FB fsincos  ST0     x
      D9 . =FC frndint  ST0     x
      D9 . =FD fscale   ST0     x
      D9 . =FE fsin     ST0     x
      D9 . =FF fcos     ST0     x
      DA . /0m fiadd    ST0,Md  x
      DA . /1m fimul    ST0,Md  x
      DA . /2m ficom    ST0,Md  r
      DA . /3m ficomp   ST0,Md  r
      DA . /4m fisub    ST0,Md  x
      DA . /5m fisubr   ST0,Md  x
      DA . /6m fidiv    ST0,Md  x
      DA . /7m fidivr   ST0,Md  x
      DA . /0r fcmovb   ST0,STi w  rf @cmov
      DA . /1r fcmove   ST0,STi w  rf @cmov
      DA . /2r fcmovbe  ST0,STi w  rf @cmov
      DA . /3r fcmovu   ST0,STi w  rf @cmov
      DA . =E9 fucompp  ST0     r
      DB . /0m fild     ST0,Md  w
      DB . /1m fisttp   Md,ST0  w  @sse3
      DB . /2m fist     Md,ST0  w
      DB . /3m fistp    Md,ST0  w
      DB . =E0 fneni    .       .  nw ctl
      DB . =E1 fndisi   .       .  nw ctl
      DB . =E2 fnclex   .       .  nw ctl
      DB . =E3 fninit   .       .  nw ctl
      DB . =E4 fnsetpm  .       .  nw ctl
      DB . /5m fld      ST0,Mt  w
      DB . /5r fucomi   ST0,STi r  wf
      DB . /6r fcomi    ST0,STi r  wf
      DB . /7m fstp     Mt,ST0  w
      DB . /0r fcmovnb  ST0,STi w  rf @cmov
      DB . /1r fcmovne  ST0,STi w  rf @cmov
      DB . /2r fcmovnbe ST0,STi w  rf @cmov
      DB . /3r fcmovnu  ST0,STi w  rf @cmov
      DC . /0m fadd     ST0,Mq  x
      DC . /1m fmul     ST0,Mq  x
      DC . /2m fcom     ST0,Mq  r
      DC . /3m fcomp    ST0,Mq  r
      DC . /4m fsub     ST0,Mq  x
      DC . /5m fsubr    ST0,Mq  x
      DC . /6m fdiv     ST0,Mq  x
      DC . /7m fdivr    ST0,Mq  x
      DC . /0r fadd     STi,ST0 x
      DC . /1r fmul     STi,ST0 x
      DC . /2r fcom     ST0,STi r
      DC . /3r fcomp    ST0,STi r
      DC . /4r fsubr    STi,ST0 x
      DC . /5r fsub     STi,ST0 x
      DC . /6r fdivr    STi,ST0 x
      DC . /7r fdiv     STi,ST0 x
      DD . /0m fld      ST0,Mq  w
      DD . /0r ffree    STi     w  ctl
      DD . /1m fisttp   Mq,ST0  w  @sse3
      DD . /1r fxch     ST0,STi xx
      DD . /2m fst      Mq,ST0  w
      DD . /2r fst      STi,ST0 w
      DD . /3m fstp     Mq,ST0  w
      DD . /3r fstp     STi,ST0 w
      DD . /4m frstor   Mstate  r  ctl
      DD . /4r fucom    ST0,STi r
      DD . /5r fucomp   ST0,STi r
      DD . /6m fnsave   Mstate  w  nw ctl
      DD . /7m fnstsw   Mw      w  nw ctl
      DE . /0m fiadd    ST0,Mw  x
      DE . /1m fimul    ST0,Mw  x
      DE . /2m ficom    ST0,Mw  r
      DE . /3m ficomp   ST0,Mw  r
      DE . /4m fisub    ST0,Mw  x
      DE . /5m fisubr   ST0,Mw  x
      DE . /6m fidiv    ST0,Mw  x
      DE . /7m fidivr   ST0,Mw  x
      DE . /0r faddp    STi,ST0 x
      DE . /1r fmulp    STi,ST0 x
      DE . /2r fcomp    ST0,STi r
      DE . =D9 fcompp   ST0     r
      DE . /4r fsubrp   STi,ST0 x
      DE . /5r fsubp    STi,ST0 x
      DE . /6r fdivrp   STi,ST0 x
      DE . /7r fdivp    STi,ST0 x
      DF . /0m fild     ST0,Mw  w
      DF . /0r ffreep   STi     w  ctl
      DF . /1m fisttp   Mw,ST0  w  @sse3
      DF . /1r fxch     ST0,STi xx
      DF . /2m fist     Mw,ST0  w
      DF . /2r fstp     STi,ST0 w
      DF . /3m fistp    Mw,ST0  w
      DF . /3r fstp     STi,ST0 w
      DF . /4m fbld     ST0,Mt  w
      DF . =E0 fnstsw   AX      w  nw ctl
      DF . /5m fild     ST0,Mq  w
      DF . /5r fucomip  ST0,STi r  wf
      DF . /6m fbstp    Mt,ST0  w
      DF . /6r fcomip   ST0,STi r  wf
      DF . /7m fistp    Mq,ST0  w
      9B . .   fwait    .       .  ctl
      """)
}
