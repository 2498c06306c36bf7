extension OpcodeSection {
  /// AVX: moves and shuffles.
  static let avxMoves = OpcodeSection(
    .avx, .avx, encoding: .vex,
    rows: """
      0F10   NP       .   vmovups     Vx,Wx       w
      0F10   66       .   vmovupd     Vx,Wx       w
      0F10   F3       .   vmovss      Vss,Mss     w
      0F10   F3       .   vmovss      Vdq,Hdq,Uss w
      0F10   F2       .   vmovsd      Vsd,Msd     w
      0F10   F2       .   vmovsd      Vdq,Hdq,Usd w
      0F11   NP       .   vmovups     Wx,Vx       w
      0F11   66       .   vmovupd     Wx,Vx       w
      0F11   F3       .   vmovss      Mss,Vss     w
      0F11   F3       .   vmovss      Udq,Hdq,Vss w
      0F11   F2       .   vmovsd      Msd,Vsd     w
      0F11   F2       .   vmovsd      Udq,Hdq,Vsd w
      0F12   NP.L0    .   vmovlps     Vdq,Hdq,Mq  w
      0F12   NP.L0    .   vmovhlps    Vdq,Hdq,Udq w
      0F12   66.L0    .   vmovlpd     Vdq,Hdq,Mq  w
      0F12   F3       .   vmovsldup   Vx,Wx       w
      0F12   F2.L0    .   vmovddup    Vdq,Wq      w
      0F12   F2.L1    .   vmovddup    Vqq,Wqq     w
      0F13   NP.L0    .   vmovlps     Mq,Vq       w
      0F13   66.L0    .   vmovlpd     Mq,Vq       w
      0F14   NP       .   vunpcklps   Vx,Hx,Wx    w
      0F14   66       .   vunpcklpd   Vx,Hx,Wx    w
      0F15   NP       .   vunpckhps   Vx,Hx,Wx    w
      0F15   66       .   vunpckhpd   Vx,Hx,Wx    w
      0F16   NP.L0    .   vmovhps     Vdq,Hdq,Mq  w
      0F16   NP.L0    .   vmovlhps    Vdq,Hdq,Udq w
      0F16   66.L0    .   vmovhpd     Vdq,Hdq,Mq  w
      0F16   F3       .   vmovshdup   Vx,Wx       w
      0F17   NP.L0    .   vmovhps     Mq,Vdq      w
      0F17   66.L0    .   vmovhpd     Mq,Vdq      w
      0F28   NP       .   vmovaps     Vx,Wx       w al
      0F28   66       .   vmovapd     Vx,Wx       w al
      0F29   NP       .   vmovaps     Wx,Vx       w al
      0F29   66       .   vmovapd     Wx,Vx       w al
      0F2B   NP       .   vmovntps    Mx,Vx       w al
      0F2B   66       .   vmovntpd    Mx,Vx       w al
      0F50   NP       .   vmovmskps   Gd,Ux       w
      0F50   66       .   vmovmskpd   Gd,Ux       w
      0F6E   66.L0.Wd .   vmovd       Vdq,Ed      w
      0F6E   66.L0.Wq .   vmovq       Vdq,Eq      w
      0F6F   66       .   vmovdqa     Vx,Wx       w al
      0F6F   F3       .   vmovdqu     Vx,Wx       w
      0F77   NP.L0    .   vzeroupper  .
      0F77   NP.L1    .   vzeroall    .
      0F7E   66.L0.Wd .   vmovd       Ed,Vd       w
      0F7E   66.L0.Wq .   vmovq       Eq,Vq       w
      0F7E   F3.L0    .   vmovq       Vdq,Wq      w
      0F7F   66       .   vmovdqa     Wx,Vx       w al
      0F7F   F3       .   vmovdqu     Wx,Vx       w
      0FAE   NP.L0    /2m vldmxcsr    Md          r
      0FAE   NP.L0    /3m vstmxcsr    Md          w
      0FC6   NP       .   vshufps     Vx,Hx,Wx,Ib w
      0FC6   66       .   vshufpd     Vx,Hx,Wx,Ib w
      0FD6   66.L0    .   vmovq       Wq,Vq       w
      0FD7   66       .   vpmovmskb   Gd,Ux       w @avx/avx2
      0FE7   66       .   vmovntdq    Mx,Vx       w al
      0FF0   F2       .   vlddqu      Vx,Mx       w
      0FF7   66.L0    .   vmaskmovdqu Vdq,Udq     r
      0F382A 66       .   vmovntdqa   Vx,Mx       w al @avx/avx2
      0F382C 66.W0    .   vmaskmovps  Vx,Hx,Mx    w
      0F382D 66.W0    .   vmaskmovpd  Vx,Hx,Mx    w
      0F382E 66.W0    .   vmaskmovps  Mx,Hx,Vx    w
      0F382F 66.W0    .   vmaskmovpd  Mx,Hx,Vx    w
      """)

  /// AVX: floating-point arithmetic.
  static let avxArithmetic = OpcodeSection(
    .avx, .avx, encoding: .vex,
    rows: """
      0F51   NP    . vsqrtps    Vx,Wx          w xm
      0F51   66    . vsqrtpd    Vx,Wx          w xm
      0F51   F3    . vsqrtss    Vdq,Hdq,Wss    w xm
      0F51   F2    . vsqrtsd    Vdq,Hdq,Wsd    w xm
      0F52   NP    . vrsqrtps   Vx,Wx          w
      0F52   F3    . vrsqrtss   Vdq,Hdq,Wss    w
      0F53   NP    . vrcpps     Vx,Wx          w
      0F53   F3    . vrcpss     Vdq,Hdq,Wss    w
      0F54   NP    . vandps     Vx,Hx,Wx       w
      0F54   66    . vandpd     Vx,Hx,Wx       w
      0F55   NP    . vandnps    Vx,Hx,Wx       w
      0F55   66    . vandnpd    Vx,Hx,Wx       w
      0F56   NP    . vorps      Vx,Hx,Wx       w
      0F56   66    . vorpd      Vx,Hx,Wx       w
      0F57   NP    . vxorps     Vx,Hx,Wx       w
      0F57   66    . vxorpd     Vx,Hx,Wx       w
      0F58   NP    . vaddps     Vx,Hx,Wx       w xm
      0F58   66    . vaddpd     Vx,Hx,Wx       w xm
      0F58   F3    . vaddss     Vdq,Hdq,Wss    w xm
      0F58   F2    . vaddsd     Vdq,Hdq,Wsd    w xm
      0F59   NP    . vmulps     Vx,Hx,Wx       w xm
      0F59   66    . vmulpd     Vx,Hx,Wx       w xm
      0F59   F3    . vmulss     Vdq,Hdq,Wss    w xm
      0F59   F2    . vmulsd     Vdq,Hdq,Wsd    w xm
      0F5C   NP    . vsubps     Vx,Hx,Wx       w xm
      0F5C   66    . vsubpd     Vx,Hx,Wx       w xm
      0F5C   F3    . vsubss     Vdq,Hdq,Wss    w xm
      0F5C   F2    . vsubsd     Vdq,Hdq,Wsd    w xm
      0F5D   NP    . vminps     Vx,Hx,Wx       w xm
      0F5D   66    . vminpd     Vx,Hx,Wx       w xm
      0F5D   F3    . vminss     Vdq,Hdq,Wss    w xm
      0F5D   F2    . vminsd     Vdq,Hdq,Wsd    w xm
      0F5E   NP    . vdivps     Vx,Hx,Wx       w xm
      0F5E   66    . vdivpd     Vx,Hx,Wx       w xm
      0F5E   F3    . vdivss     Vdq,Hdq,Wss    w xm
      0F5E   F2    . vdivsd     Vdq,Hdq,Wsd    w xm
      0F5F   NP    . vmaxps     Vx,Hx,Wx       w xm
      0F5F   66    . vmaxpd     Vx,Hx,Wx       w xm
      0F5F   F3    . vmaxss     Vdq,Hdq,Wss    w xm
      0F5F   F2    . vmaxsd     Vdq,Hdq,Wsd    w xm
      0F7C   66    . vhaddpd    Vx,Hx,Wx       w xm
      0F7C   F2    . vhaddps    Vx,Hx,Wx       w xm
      0F7D   66    . vhsubpd    Vx,Hx,Wx       w xm
      0F7D   F2    . vhsubps    Vx,Hx,Wx       w xm
      0FD0   66    . vaddsubpd  Vx,Hx,Wx       w xm
      0FD0   F2    . vaddsubps  Vx,Hx,Wx       w xm
      0FC2   NP    . vcmpps     Vx,Hx,Wx,Ib    w xm
      0FC2   66    . vcmppd     Vx,Hx,Wx,Ib    w xm
      0FC2   F3    . vcmpss     Vdq,Hdq,Wss,Ib w xm
      0FC2   F2    . vcmpsd     Vdq,Hdq,Wsd,Ib w xm
      0F2E   NP    . vucomiss   Vss,Wss        r wf xm
      0F2E   66    . vucomisd   Vsd,Wsd        r wf xm
      0F2F   NP    . vcomiss    Vss,Wss        r wf xm
      0F2F   66    . vcomisd    Vsd,Wsd        r wf xm
      0F380E 66.W0 . vtestps    Vx,Wx          r wf
      0F380F 66.W0 . vtestpd    Vx,Wx          r wf
      0F3817 66    . vptest     Vx,Wx          r wf
      0F3A08 66    . vroundps   Vx,Wx,Ib       w xm
      0F3A09 66    . vroundpd   Vx,Wx,Ib       w xm
      0F3A0A 66    . vroundss   Vdq,Hdq,Wss,Ib w xm
      0F3A0B 66    . vroundsd   Vdq,Hdq,Wsd,Ib w xm
      0F3A0C 66    . vblendps   Vx,Hx,Wx,Ib    w
      0F3A0D 66    . vblendpd   Vx,Hx,Wx,Ib    w
      0F3A17 66.L0 . vextractps Ed,Vdq,Ib      w
      0F3A21 66.L0 . vinsertps  Vdq,Hdq,Wd,Ib  w
      0F3A40 66    . vdpps      Vx,Hx,Wx,Ib    w xm
      0F3A41 66.L0 . vdppd      Vdq,Hdq,Wdq,Ib w xm
      0F3A4A 66.W0 . vblendvps  Vx,Hx,Wx,Lx    w
      0F3A4B 66.W0 . vblendvpd  Vx,Hx,Wx,Lx    w
      """)

  /// AVX and F16C: conversions.
  static let avxConversions = OpcodeSection(
    .avx, .avx, encoding: .vex,
    rows: """
      0F2A   F3    . vcvtsi2ss  Vdq,Hdq,Ey  w xm
      0F2A   F2    . vcvtsi2sd  Vdq,Hdq,Ey  w xm
      0F2C   F3    . vcvttss2si Gy,Wss      w xm
      0F2C   F2    . vcvttsd2si Gy,Wsd      w xm
      0F2D   F3    . vcvtss2si  Gy,Wss      w xm
      0F2D   F2    . vcvtsd2si  Gy,Wsd      w xm
      0F5A   NP    . vcvtps2pd  Vx,Wh       w xm
      0F5A   66    . vcvtpd2ps  Vdq,Wx      w xm
      0F5A   F3    . vcvtss2sd  Vdq,Hdq,Wss w xm
      0F5A   F2    . vcvtsd2ss  Vdq,Hdq,Wsd w xm
      0F5B   NP    . vcvtdq2ps  Vx,Wx       w xm
      0F5B   66    . vcvtps2dq  Vx,Wx       w xm
      0F5B   F3    . vcvttps2dq Vx,Wx       w xm
      0FE6   66    . vcvttpd2dq Vdq,Wx      w xm
      0FE6   F3    . vcvtdq2pd  Vx,Wh       w
      0FE6   F2    . vcvtpd2dq  Vdq,Wx      w xm
      0F3813 66.W0 . vcvtph2ps  Vx,Wh       w xm @f16c
      0F3A1D 66.W0 . vcvtps2ph  Wh,Vx,Ib    w xm @f16c
      """)
}
