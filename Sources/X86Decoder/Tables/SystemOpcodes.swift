extension OpcodeSection {
  /// System registers and transfers between privilege levels.
  static let privileged = OpcodeSection(
    .base,
    rows: """
      0F00   .  /0 sldt       Ev/w   w pm
      0F00   .  /1 str        Ev/w   w pm
      0F00   .  /2 lldt       Ew     r pm priv
      0F00   .  /3 ltr        Ew     r pm priv
      0F00   .  /4 verr       Ew     r pm wf
      0F00   .  /5 verw       Ew     r pm wf
      0F02   .  .  lar        Gv,Ew  x pm wf
      0F03   .  .  lsl        Gv,Ew  x pm wf
      0F05   .  .  syscall    .      . cf rf wf @syscall
      0F06   .  .  clts       .      . priv
      0F07   .  .  sysret     .      . cf wf @syscall
      0F08   .  .  invd       .      . priv
      0F09   .  .  wbinvd     .      . priv
      0F09   F3 .  wbnoinvd   .      . priv @wbnoinvd
      0F20   .  .  movControl Kn,Cn  w priv
      0F21   .  .  movDebug   Kn,Dn  w priv
      0F22   .  .  movControl Cn,Kn  w priv
      0F23   .  .  movDebug   Dn,Kn  w priv
      0F30   .  .  wrmsr      .      . priv
      0F31   .  .  rdtsc      .      . @tsc
      0F32   .  .  rdmsr      .      . priv
      0F33   .  .  rdpmc      .
      0F34   .  .  sysenter   .      . cf @sysenter
      0F35   .  .  sysexit    .      . cf @sysenter
      0FA2   .  .  cpuid      .
      0FAA   .  .  rsm        .      . cf wf
      0F3882 66 .  invpcid    Gn,Mdq r f64 priv @invpcid
      """)

  /// Group 7 (0F 01).
  static let systemGroup = OpcodeSection(
    .base,
    rows: """
      0F01 .   /0m sgdt      Ms   w
      0F01 .   /1m sidt      Ms   w
      0F01 .   /2m lgdt      Ms   r priv
      0F01 .   /3m lidt      Ms   r priv
      0F01 .   /4  smsw      Ev/w w
      0F01 .   /6  lmsw      Ew   r priv
      0F01 .   /7m invlpg    Mb   r priv
      0F01 NP  =C1 vmcall    .    . @vmx
      0F01 NP  =C2 vmlaunch  .    . cf wf @vmx
      0F01 NP  =C3 vmresume  .    . cf wf @vmx
      0F01 NP  =C4 vmxoff    .    . priv @vmx
      0F01 NP  =C8 monitor   .    . priv @monitor
      0F01 NP  =C9 mwait     .    . priv @monitor
      0F01 NP  =CA clac      .    . @smap
      0F01 NP  =CB stac      .    . @smap
      0F01 NP  =D0 xgetbv    .    . @xsave
      0F01 NP  =D1 xsetbv    .    . priv @xsave
      0F01 .   =D8 vmrun     .    . cf @svm
      0F01 .   =D9 vmmcall   .    . @svm
      0F01 .   =DA vmload    .    . @svm
      0F01 .   =DB vmsave    .    . @svm
      0F01 .   =DC stgi      .    . @svm
      0F01 .   =DD clgi      .    . @svm
      0F01 .   =DE skinit    .    . @svm
      0F01 .   =DF invlpga   .    . @svm
      0F01 NP  =E8 serialize .    . @serialize
      0F01 O64 =F8 swapgs    .    . priv @longMode
      0F01 .   =F9 rdtscp    .    . @rdtscp
      0F01 NP  =FA monitorx  .    . @monitorx
      0F01 NP  =FB mwaitx    .    . @monitorx
      0F01 .   =FC clzero    .    . @clzero
      """)

  /// VMX beyond group 7. None of it is offered.
  static let virtualization = OpcodeSection(
    .vmx,
    rows: """
      0F78   NP .   vmread  En,Gn  w wf
      0F79   NP .   vmwrite Gn,En  r wf
      0FC7   NP /6m vmptrld Mq     r wf
      0FC7   66 /6m vmclear Mq     r wf
      0FC7   F3 /6m vmxon   Mq     r wf
      0FC7   NP /7m vmptrst Mq     w wf
      0F3880 66 .   invept  Gn,Mdq r wf
      0F3881 66 .   invvpid Gn,Mdq r wf
      """)

  /// Group 15 (0F AE) and the extended-state half of group 9 (0F C7).
  static let cacheControl = OpcodeSection(
    .fxsr,
    rows: """
      0FAE NP     /0m fxsave     Mfx w x87
      0FAE NP     /1m fxrstor    Mfx r x87
      0FAE NP     /2m ldmxcsr    Md  r sse @sse
      0FAE NP     /3m stmxcsr    Md  w sse @sse
      0FAE NP     /4m xsave      M   x @xsave
      0FAE NP     /5m xrstor     M   r @xsave
      0FAE NP     /5r lfence     .   . @sse2
      0FAE NP     /6m xsaveopt   M   x @xsaveopt
      0FAE 66     /6m clwb       Mb  r @clwb
      0FAE NP     /6r mfence     .   . @sse2
      0FAE NP     /7m clflush    Mb  r @clflush
      0FAE 66     /7m clflushopt Mb  r @clflushopt
      0FAE NP     /7r sfence     .   . @sse
      0FAE F3.O64 /0r rdfsbase   Ry  w @fsgsbase
      0FAE F3.O64 /1r rdgsbase   Ry  w @fsgsbase
      0FAE F3.O64 /2r wrfsbase   Ry  r @fsgsbase
      0FAE F3.O64 /3r wrgsbase   Ry  r @fsgsbase
      0FC7 NP     /3m xrstors    M   r priv @xsaves
      0FC7 NP     /4m xsavec     M   w @xsavec
      0FC7 NP     /5m xsaves     M   w priv @xsaves
      """)

  /// Random numbers and the processor number.
  static let randomNumbers = OpcodeSection(
    .rdrand,
    rows: """
      0FC7 NFx /6r rdrand Rv w wf
      0FC7 NFx /7r rdseed Rv w wf @rdseed
      0FC7 F3  /7r rdpid  Rn w @rdpid
      """)
}
