extension OpcodeSection {
  /// SSE, SSE2 and SSE3: moves and shuffles.
  static let sseMoves = OpcodeSection(
    .sse2, .sse,
    rows: """
      0F10 NP    . movups     Vx,Wx      w ua @sse
      0F10 66    . movupd     Vx,Wx      w ua
      0F10 F3    . movss      Vss,Wss    w @sse
      0F10 F2    . movsd      Vsd,Wsd    w
      0F11 NP    . movups     Wx,Vx      w ua @sse
      0F11 66    . movupd     Wx,Vx      w ua
      0F11 F3    . movss      Wss,Vss    w @sse
      0F11 F2    . movsd      Wsd,Vsd    w
      0F12 NP    . movlps     Vq,Mq      w @sse
      0F12 NP    . movhlps    Vq,Uq      w @sse
      0F12 66    . movlpd     Vq,Mq      w
      0F12 F3    . movsldup   Vx,Wx      w @sse3
      0F12 F2    . movddup    Vx,Wq      w @sse3
      0F13 NP    . movlps     Mq,Vq      w @sse
      0F13 66    . movlpd     Mq,Vq      w
      0F14 NP    . unpcklps   Vx,Wx      x @sse
      0F14 66    . unpcklpd   Vx,Wx      x
      0F15 NP    . unpckhps   Vx,Wx      x @sse
      0F15 66    . unpckhpd   Vx,Wx      x
      0F16 NP    . movhps     Vq,Mq      w @sse
      0F16 NP    . movlhps    Vq,Uq      w @sse
      0F16 66    . movhpd     Vq,Mq      w
      0F16 F3    . movshdup   Vx,Wx      w @sse3
      0F17 NP    . movhps     Mq,Vq      w @sse
      0F17 66    . movhpd     Mq,Vq      w
      0F28 NP    . movaps     Vx,Wx      w @sse
      0F28 66    . movapd     Vx,Wx      w
      0F29 NP    . movaps     Wx,Vx      w @sse
      0F29 66    . movapd     Wx,Vx      w
      0F2B NP    . movntps    Mx,Vx      w @sse
      0F2B 66    . movntpd    Mx,Vx      w
      0F50 NP    . movmskps   Gd,Ux      w @sse
      0F50 66    . movmskpd   Gd,Ux      w
      0F6E 66.Wd . movd       Vx,Ed      w
      0F6E 66.Wq . movq       Vx,Eq      w
      0F6F 66    . movdqa     Vx,Wx      w
      0F6F F3    . movdqu     Vx,Wx      w ua
      0F70 66    . pshufd     Vx,Wx,Ib   w
      0F70 F3    . pshufhw    Vx,Wx,Ib   w
      0F70 F2    . pshuflw    Vx,Wx,Ib   w
      0F7E 66.Wd . movd       Ed,Vd      w
      0F7E 66.Wq . movq       Eq,Vq      w
      0F7E F3    . movq       Vq,Wq      w
      0F7F 66    . movdqa     Wx,Vx      w
      0F7F F3    . movdqu     Wx,Vx      w ua
      0FC4 66    . pinsrw     Vx,Ed/w,Ib x
      0FC5 66    . pextrw     Gd,Ux,Ib   w
      0FC6 NP    . shufps     Vx,Wx,Ib   x @sse
      0FC6 66    . shufpd     Vx,Wx,Ib   x
      0FD6 66    . movq       Wq,Vq      w
      0FD6 F3    . movq2dq    Vx,Nq      w mmx
      0FD6 F2    . movdq2q    Pq,Uq      w mmx
      0FD7 66    . pmovmskb   Gd,Ux      w
      0FE7 66    . movntdq    Mx,Vx      w
      0FF0 F2    . lddqu      Vx,Mx      w ua @sse3
      0FF7 66    . maskmovdqu Vx,Ux      r
      """)

  /// SSE, SSE2 and SSE3: floating-point arithmetic.
  static let sseArithmetic = OpcodeSection(
    .sse2, .sse,
    rows: """
      0F51 NP . sqrtps   Vx,Wx      w xm @sse
      0F51 66 . sqrtpd   Vx,Wx      w xm
      0F51 F3 . sqrtss   Vss,Wss    w xm @sse
      0F51 F2 . sqrtsd   Vsd,Wsd    w xm
      0F52 NP . rsqrtps  Vx,Wx      w @sse
      0F52 F3 . rsqrtss  Vss,Wss    w @sse
      0F53 NP . rcpps    Vx,Wx      w @sse
      0F53 F3 . rcpss    Vss,Wss    w @sse
      0F54 NP . andps    Vx,Wx      x @sse
      0F54 66 . andpd    Vx,Wx      x
      0F55 NP . andnps   Vx,Wx      x @sse
      0F55 66 . andnpd   Vx,Wx      x
      0F56 NP . orps     Vx,Wx      x @sse
      0F56 66 . orpd     Vx,Wx      x
      0F57 NP . xorps    Vx,Wx      x @sse
      0F57 66 . xorpd    Vx,Wx      x
      0F58 NP . addps    Vx,Wx      x xm @sse
      0F58 66 . addpd    Vx,Wx      x xm
      0F58 F3 . addss    Vss,Wss    x xm @sse
      0F58 F2 . addsd    Vsd,Wsd    x xm
      0F59 NP . mulps    Vx,Wx      x xm @sse
      0F59 66 . mulpd    Vx,Wx      x xm
      0F59 F3 . mulss    Vss,Wss    x xm @sse
      0F59 F2 . mulsd    Vsd,Wsd    x xm
      0F5C NP . subps    Vx,Wx      x xm @sse
      0F5C 66 . subpd    Vx,Wx      x xm
      0F5C F3 . subss    Vss,Wss    x xm @sse
      0F5C F2 . subsd    Vsd,Wsd    x xm
      0F5D NP . minps    Vx,Wx      x xm @sse
      0F5D 66 . minpd    Vx,Wx      x xm
      0F5D F3 . minss    Vss,Wss    x xm @sse
      0F5D F2 . minsd    Vsd,Wsd    x xm
      0F5E NP . divps    Vx,Wx      x xm @sse
      0F5E 66 . divpd    Vx,Wx      x xm
      0F5E F3 . divss    Vss,Wss    x xm @sse
      0F5E F2 . divsd    Vsd,Wsd    x xm
      0F5F NP . maxps    Vx,Wx      x xm @sse
      0F5F 66 . maxpd    Vx,Wx      x xm
      0F5F F3 . maxss    Vss,Wss    x xm @sse
      0F5F F2 . maxsd    Vsd,Wsd    x xm
      0F7C 66 . haddpd   Vx,Wx      x xm @sse3
      0F7C F2 . haddps   Vx,Wx      x xm @sse3
      0F7D 66 . hsubpd   Vx,Wx      x xm @sse3
      0F7D F2 . hsubps   Vx,Wx      x xm @sse3
      0FD0 66 . addsubpd Vx,Wx      x xm @sse3
      0FD0 F2 . addsubps Vx,Wx      x xm @sse3
      0FC2 NP . cmpps    Vx,Wx,Ib   x xm @sse
      0FC2 66 . cmppd    Vx,Wx,Ib   x xm
      0FC2 F3 . cmpss    Vss,Wss,Ib x xm @sse
      0FC2 F2 . cmpsd    Vsd,Wsd,Ib x xm
      0F2E NP . ucomiss  Vss,Wss    r wf xm @sse
      0F2E 66 . ucomisd  Vsd,Wsd    r wf xm
      0F2F NP . comiss   Vss,Wss    r wf xm @sse
      0F2F 66 . comisd   Vsd,Wsd    r wf xm
      """)

  /// SSE and SSE2: conversions.
  static let sseConversions = OpcodeSection(
    .sse2, .sse,
    rows: """
      0F2A NP . cvtpi2ps  Vq,Qq   w mmx xm @sse
      0F2A 66 . cvtpi2pd  Vx,Qq   w mmx
      0F2A F3 . cvtsi2ss  Vss,Ey  w xm @sse
      0F2A F2 . cvtsi2sd  Vsd,Ey  w xm
      0F2C NP . cvttps2pi Pq,Wq   w mmx xm @sse
      0F2C 66 . cvttpd2pi Pq,Wx   w mmx xm
      0F2C F3 . cvttss2si Gy,Wss  w xm @sse
      0F2C F2 . cvttsd2si Gy,Wsd  w xm
      0F2D NP . cvtps2pi  Pq,Wq   w mmx xm @sse
      0F2D 66 . cvtpd2pi  Pq,Wx   w mmx xm
      0F2D F3 . cvtss2si  Gy,Wss  w xm @sse
      0F2D F2 . cvtsd2si  Gy,Wsd  w xm
      0F5A NP . cvtps2pd  Vx,Wq   w xm
      0F5A 66 . cvtpd2ps  Vx,Wx   w xm
      0F5A F3 . cvtss2sd  Vsd,Wss w xm
      0F5A F2 . cvtsd2ss  Vss,Wsd w xm
      0F5B NP . cvtdq2ps  Vx,Wx   w xm
      0F5B 66 . cvtps2dq  Vx,Wx   w xm
      0F5B F3 . cvttps2dq Vx,Wx   w xm
      0FE6 66 . cvttpd2dq Vx,Wx   w xm
      0FE6 F3 . cvtdq2pd  Vx,Wq   w
      0FE6 F2 . cvtpd2dq  Vx,Wx   w xm
      """)
}
