extension OpcodeSection {
  /// AVX and AVX2: packed integers.
  static let avxIntegers = OpcodeSection(
    .avx, .avx, encoding: .vex,
    rows: """
      0F60   66       .  vpunpcklbw        Vx,Hx,Wx        w @avx/avx2
      0F61   66       .  vpunpcklwd        Vx,Hx,Wx        w @avx/avx2
      0F62   66       .  vpunpckldq        Vx,Hx,Wx        w @avx/avx2
      0F63   66       .  vpacksswb         Vx,Hx,Wx        w @avx/avx2
      0F64   66       .  vpcmpgtb          Vx,Hx,Wx        w @avx/avx2
      0F65   66       .  vpcmpgtw          Vx,Hx,Wx        w @avx/avx2
      0F66   66       .  vpcmpgtd          Vx,Hx,Wx        w @avx/avx2
      0F67   66       .  vpackuswb         Vx,Hx,Wx        w @avx/avx2
      0F68   66       .  vpunpckhbw        Vx,Hx,Wx        w @avx/avx2
      0F69   66       .  vpunpckhwd        Vx,Hx,Wx        w @avx/avx2
      0F6A   66       .  vpunpckhdq        Vx,Hx,Wx        w @avx/avx2
      0F6B   66       .  vpackssdw         Vx,Hx,Wx        w @avx/avx2
      0F74   66       .  vpcmpeqb          Vx,Hx,Wx        w @avx/avx2
      0F75   66       .  vpcmpeqw          Vx,Hx,Wx        w @avx/avx2
      0F76   66       .  vpcmpeqd          Vx,Hx,Wx        w @avx/avx2
      0FD1   66       .  vpsrlw            Vx,Hx,Wdq       w @avx/avx2
      0FD2   66       .  vpsrld            Vx,Hx,Wdq       w @avx/avx2
      0FD3   66       .  vpsrlq            Vx,Hx,Wdq       w @avx/avx2
      0FD4   66       .  vpaddq            Vx,Hx,Wx        w @avx/avx2
      0FD5   66       .  vpmullw           Vx,Hx,Wx        w @avx/avx2
      0FD8   66       .  vpsubusb          Vx,Hx,Wx        w @avx/avx2
      0FD9   66       .  vpsubusw          Vx,Hx,Wx        w @avx/avx2
      0FDA   66       .  vpminub           Vx,Hx,Wx        w @avx/avx2
      0FDB   66       .  vpand             Vx,Hx,Wx        w @avx/avx2
      0FDC   66       .  vpaddusb          Vx,Hx,Wx        w @avx/avx2
      0FDD   66       .  vpaddusw          Vx,Hx,Wx        w @avx/avx2
      0FDE   66       .  vpmaxub           Vx,Hx,Wx        w @avx/avx2
      0FDF   66       .  vpandn            Vx,Hx,Wx        w @avx/avx2
      0FE0   66       .  vpavgb            Vx,Hx,Wx        w @avx/avx2
      0FE1   66       .  vpsraw            Vx,Hx,Wdq       w @avx/avx2
      0FE2   66       .  vpsrad            Vx,Hx,Wdq       w @avx/avx2
      0FE3   66       .  vpavgw            Vx,Hx,Wx        w @avx/avx2
      0FE4   66       .  vpmulhuw          Vx,Hx,Wx        w @avx/avx2
      0FE5   66       .  vpmulhw           Vx,Hx,Wx        w @avx/avx2
      0FE8   66       .  vpsubsb           Vx,Hx,Wx        w @avx/avx2
      0FE9   66       .  vpsubsw           Vx,Hx,Wx        w @avx/avx2
      0FEA   66       .  vpminsw           Vx,Hx,Wx        w @avx/avx2
      0FEB   66       .  vpor              Vx,Hx,Wx        w @avx/avx2
      0FEC   66       .  vpaddsb           Vx,Hx,Wx        w @avx/avx2
      0FED   66       .  vpaddsw           Vx,Hx,Wx        w @avx/avx2
      0FEE   66       .  vpmaxsw           Vx,Hx,Wx        w @avx/avx2
      0FEF   66       .  vpxor             Vx,Hx,Wx        w @avx/avx2
      0FF1   66       .  vpsllw            Vx,Hx,Wdq       w @avx/avx2
      0FF2   66       .  vpslld            Vx,Hx,Wdq       w @avx/avx2
      0FF3   66       .  vpsllq            Vx,Hx,Wdq       w @avx/avx2
      0FF4   66       .  vpmuludq          Vx,Hx,Wx        w @avx/avx2
      0FF5   66       .  vpmaddwd          Vx,Hx,Wx        w @avx/avx2
      0FF6   66       .  vpsadbw           Vx,Hx,Wx        w @avx/avx2
      0FF8   66       .  vpsubb            Vx,Hx,Wx        w @avx/avx2
      0FF9   66       .  vpsubw            Vx,Hx,Wx        w @avx/avx2
      0FFA   66       .  vpsubd            Vx,Hx,Wx        w @avx/avx2
      0FFB   66       .  vpsubq            Vx,Hx,Wx        w @avx/avx2
      0FFC   66       .  vpaddb            Vx,Hx,Wx        w @avx/avx2
      0FFD   66       .  vpaddw            Vx,Hx,Wx        w @avx/avx2
      0FFE   66       .  vpaddd            Vx,Hx,Wx        w @avx/avx2
      0F6C   66       .  vpunpcklqdq       Vx,Hx,Wx        w @avx/avx2
      0F6D   66       .  vpunpckhqdq       Vx,Hx,Wx        w @avx/avx2
      0F71   66       /2 vpsrlw            Hx,Ux,Ib        w @avx/avx2
      0F71   66       /4 vpsraw            Hx,Ux,Ib        w @avx/avx2
      0F71   66       /6 vpsllw            Hx,Ux,Ib        w @avx/avx2
      0F72   66       /2 vpsrld            Hx,Ux,Ib        w @avx/avx2
      0F72   66       /4 vpsrad            Hx,Ux,Ib        w @avx/avx2
      0F72   66       /6 vpslld            Hx,Ux,Ib        w @avx/avx2
      0F73   66       /2 vpsrlq            Hx,Ux,Ib        w @avx/avx2
      0F73   66       /6 vpsllq            Hx,Ux,Ib        w @avx/avx2
      0F73   66       /3 vpsrldq           Hx,Ux,Ib        w @avx/avx2
      0F73   66       /7 vpslldq           Hx,Ux,Ib        w @avx/avx2
      0F3800 66       .  vpshufb           Vx,Hx,Wx        w @avx/avx2
      0F3801 66       .  vphaddw           Vx,Hx,Wx        w @avx/avx2
      0F3802 66       .  vphaddd           Vx,Hx,Wx        w @avx/avx2
      0F3803 66       .  vphaddsw          Vx,Hx,Wx        w @avx/avx2
      0F3804 66       .  vpmaddubsw        Vx,Hx,Wx        w @avx/avx2
      0F3805 66       .  vphsubw           Vx,Hx,Wx        w @avx/avx2
      0F3806 66       .  vphsubd           Vx,Hx,Wx        w @avx/avx2
      0F3807 66       .  vphsubsw          Vx,Hx,Wx        w @avx/avx2
      0F3808 66       .  vpsignb           Vx,Hx,Wx        w @avx/avx2
      0F3809 66       .  vpsignw           Vx,Hx,Wx        w @avx/avx2
      0F380A 66       .  vpsignd           Vx,Hx,Wx        w @avx/avx2
      0F380B 66       .  vpmulhrsw         Vx,Hx,Wx        w @avx/avx2
      0F381C 66       .  vpabsb            Vx,Wx           w @avx/avx2
      0F381D 66       .  vpabsw            Vx,Wx           w @avx/avx2
      0F381E 66       .  vpabsd            Vx,Wx           w @avx/avx2
      0F3A0F 66       .  vpalignr          Vx,Hx,Wx,Ib     w @avx/avx2
      0F3820 66       .  vpmovsxbw         Vx,Wh           w @avx/avx2
      0F3830 66       .  vpmovzxbw         Vx,Wh           w @avx/avx2
      0F3821 66       .  vpmovsxbd         Vx,Wu           w @avx/avx2
      0F3831 66       .  vpmovzxbd         Vx,Wu           w @avx/avx2
      0F3822 66       .  vpmovsxbq         Vx,We           w @avx/avx2
      0F3832 66       .  vpmovzxbq         Vx,We           w @avx/avx2
      0F3823 66       .  vpmovsxwd         Vx,Wh           w @avx/avx2
      0F3833 66       .  vpmovzxwd         Vx,Wh           w @avx/avx2
      0F3824 66       .  vpmovsxwq         Vx,Wu           w @avx/avx2
      0F3834 66       .  vpmovzxwq         Vx,Wu           w @avx/avx2
      0F3825 66       .  vpmovsxdq         Vx,Wh           w @avx/avx2
      0F3835 66       .  vpmovzxdq         Vx,Wh           w @avx/avx2
      0F3828 66       .  vpmuldq           Vx,Hx,Wx        w @avx/avx2
      0F3829 66       .  vpcmpeqq          Vx,Hx,Wx        w @avx/avx2
      0F382B 66       .  vpackusdw         Vx,Hx,Wx        w @avx/avx2
      0F3838 66       .  vpminsb           Vx,Hx,Wx        w @avx/avx2
      0F3839 66       .  vpminsd           Vx,Hx,Wx        w @avx/avx2
      0F383A 66       .  vpminuw           Vx,Hx,Wx        w @avx/avx2
      0F383B 66       .  vpminud           Vx,Hx,Wx        w @avx/avx2
      0F383C 66       .  vpmaxsb           Vx,Hx,Wx        w @avx/avx2
      0F383D 66       .  vpmaxsd           Vx,Hx,Wx        w @avx/avx2
      0F383E 66       .  vpmaxuw           Vx,Hx,Wx        w @avx/avx2
      0F383F 66       .  vpmaxud           Vx,Hx,Wx        w @avx/avx2
      0F3840 66       .  vpmulld           Vx,Hx,Wx        w @avx/avx2
      0F3837 66       .  vpcmpgtq          Vx,Hx,Wx        w @avx/avx2
      0F70   66       .  vpshufd           Vx,Wx,Ib        w @avx/avx2
      0F70   F3       .  vpshufhw          Vx,Wx,Ib        w @avx/avx2
      0F70   F2       .  vpshuflw          Vx,Wx,Ib        w @avx/avx2
      0FC4   66.L0    .  vpinsrw           Vdq,Hdq,Ed/w,Ib w
      0FC5   66.L0    .  vpextrw           Gd,Udq,Ib       w
      0F3841 66.L0    .  vphminposuw       Vdq,Wdq         w
      0F3845 66.W0    .  vpsrlvd           Vx,Hx,Wx        w @avx2
      0F3845 66.W1    .  vpsrlvq           Vx,Hx,Wx        w @avx2
      0F3846 66.W0    .  vpsravd           Vx,Hx,Wx        w @avx2
      0F3847 66.W0    .  vpsllvd           Vx,Hx,Wx        w @avx2
      0F3847 66.W1    .  vpsllvq           Vx,Hx,Wx        w @avx2
      0F3850 66.W0    .  vpdpbusd          Vx,Hx,Wx        x @avxVNNI
      0F3851 66.W0    .  vpdpbusds         Vx,Hx,Wx        x @avxVNNI
      0F3852 66.W0    .  vpdpwssd          Vx,Hx,Wx        x @avxVNNI
      0F3853 66.W0    .  vpdpwssds         Vx,Hx,Wx        x @avxVNNI
      0F388C 66.W0    .  vpmaskmovd        Vx,Hx,Mx        w @avx2
      0F388C 66.W1    .  vpmaskmovq        Vx,Hx,Mx        w @avx2
      0F388E 66.W0    .  vpmaskmovd        Mx,Hx,Vx        w @avx2
      0F388E 66.W1    .  vpmaskmovq        Mx,Hx,Vx        w @avx2
      0F38DB 66.L0    .  vaesimc           Vdq,Wdq         w @aes
      0F38DC 66       .  vaesenc           Vx,Hx,Wx        w @aes/vaes
      0F38DD 66       .  vaesenclast       Vx,Hx,Wx        w @aes/vaes
      0F38DE 66       .  vaesdec           Vx,Hx,Wx        w @aes/vaes
      0F38DF 66       .  vaesdeclast       Vx,Hx,Wx        w @aes/vaes
      0F38CF 66.W0    .  vgf2p8mulb        Vx,Hx,Wx        w @gfni
      0F3ACE 66.W1    .  vgf2p8affineqb    Vx,Hx,Wx,Ib     w @gfni
      0F3ACF 66.W1    .  vgf2p8affineinvqb Vx,Hx,Wx,Ib     w @gfni
      0F3A02 66.W0    .  vpblendd          Vx,Hx,Wx,Ib     w @avx2
      0F3A0E 66       .  vpblendw          Vx,Hx,Wx,Ib     w @avx/avx2
      0F3A14 66.L0    .  vpextrb           Ed/b,Vdq,Ib     w
      0F3A15 66.L0    .  vpextrw           Ed/w,Vdq,Ib     w
      0F3A16 66.L0.Wd .  vpextrd           Ed,Vdq,Ib       w
      0F3A16 66.L0.Wq .  vpextrq           Eq,Vdq,Ib       w
      0F3A20 66.L0    .  vpinsrb           Vdq,Hdq,Ed/b,Ib w
      0F3A22 66.L0.Wd .  vpinsrd           Vdq,Hdq,Ed,Ib   w
      0F3A22 66.L0.Wq .  vpinsrq           Vdq,Hdq,Eq,Ib   w
      0F3A42 66       .  vmpsadbw          Vx,Hx,Wx,Ib     w @avx/avx2
      0F3A44 66       .  vpclmulqdq        Vx,Hx,Wx,Ib     w @pclmulqdq/vpclmulqdq
      0F3A4C 66.W0    .  vpblendvb         Vx,Hx,Wx,Lx     w @avx/avx2
      0F3A60 66.L0    .  vpcmpestrm        Vdq,Wdq,Ib      r wf
      0F3A61 66.L0    .  vpcmpestri        Vdq,Wdq,Ib      r wf
      0F3A62 66.L0    .  vpcmpistrm        Vdq,Wdq,Ib      r wf
      0F3A63 66.L0    .  vpcmpistri        Vdq,Wdq,Ib      r wf
      0F3ADF 66.L0    .  vaeskeygenassist  Vdq,Wdq,Ib      w @aes
      """)

  /// AVX and AVX2: permutations and broadcasts.
  static let avxPermutations = OpcodeSection(
    .avx2, .avx, encoding: .vex,
    rows: """
      0F380C 66.W0    . vpermilps      Vx,Hx,Wx       w @avx
      0F380D 66.W0    . vpermilpd      Vx,Hx,Wx       w @avx
      0F3816 66.L1.W0 . vpermps        Vqq,Hqq,Wqq    w
      0F3818 66.W0    m vbroadcastss   Vx,Md          w @avx
      0F3818 66.W0    r vbroadcastss   Vx,Ud          w
      0F3819 66.L1.W0 m vbroadcastsd   Vqq,Mq         w @avx
      0F3819 66.L1.W0 r vbroadcastsd   Vqq,Uq         w
      0F381A 66.L1.W0 . vbroadcastf128 Vqq,Mdq        w @avx
      0F3836 66.L1.W0 . vpermd         Vqq,Hqq,Wqq    w
      0F3858 66.W0    . vpbroadcastd   Vx,Wd          w
      0F3859 66.W0    . vpbroadcastq   Vx,Wq          w
      0F385A 66.L1.W0 . vbroadcasti128 Vqq,Mdq        w
      0F3878 66.W0    . vpbroadcastb   Vx,Wb          w
      0F3879 66.W0    . vpbroadcastw   Vx,Ww          w
      0F3A00 66.L1.W1 . vpermq         Vqq,Wqq,Ib     w
      0F3A01 66.L1.W1 . vpermpd        Vqq,Wqq,Ib     w
      0F3A04 66.W0    . vpermilps      Vx,Wx,Ib       w @avx
      0F3A05 66.W0    . vpermilpd      Vx,Wx,Ib       w @avx
      0F3A06 66.L1.W0 . vperm2f128     Vqq,Hqq,Wqq,Ib w @avx
      0F3A18 66.L1.W0 . vinsertf128    Vqq,Hqq,Wdq,Ib w @avx
      0F3A19 66.L1.W0 . vextractf128   Wdq,Vqq,Ib     w @avx
      0F3A38 66.L1.W0 . vinserti128    Vqq,Hqq,Wdq,Ib w
      0F3A39 66.L1.W0 . vextracti128   Wdq,Vqq,Ib     w
      0F3A46 66.L1.W0 . vperm2i128     Vqq,Hqq,Wqq,Ib w
      """)

  /// AVX2: gathers, with vector indices.
  static let avxGathers = OpcodeSection(
    .avx2, .avx, encoding: .vex,
    rows: """
      0F3890 66.W0 . vpgatherdd Vx,Md,Hx xrx vsib
      0F3890 66.W1 . vpgatherdq Vx,Mq,Hx xrx vsib
      0F3891 66.W0 . vpgatherqd Vh,Md,Hh xrx vsib
      0F3891 66.W1 . vpgatherqq Vx,Mq,Hx xrx vsib
      0F3892 66.W0 . vgatherdps Vx,Md,Hx xrx vsib
      0F3892 66.W1 . vgatherdpd Vx,Mq,Hx xrx vsib
      0F3893 66.W0 . vgatherqps Vh,Md,Hh xrx vsib
      0F3893 66.W1 . vgatherqpd Vx,Mq,Hx xrx vsib
      """)
}
