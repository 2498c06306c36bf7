extension OpcodeSection {
  /// SSE4.1 and SSE4.2.
  static let sse4 = OpcodeSection(
    .sse41, .sse,
    rows: """
      0F3810 66    . pblendvb   Vx,Wx,XMM0 x
      0F3814 66    . blendvps   Vx,Wx,XMM0 x
      0F3815 66    . blendvpd   Vx,Wx,XMM0 x
      0F3817 66    . ptest      Vx,Wx      r wf
      0F3820 66    . pmovsxbw   Vx,Wq      w
      0F3830 66    . pmovzxbw   Vx,Wq      w
      0F3821 66    . pmovsxbd   Vx,Wd      w
      0F3831 66    . pmovzxbd   Vx,Wd      w
      0F3822 66    . pmovsxbq   Vx,Ww      w
      0F3832 66    . pmovzxbq   Vx,Ww      w
      0F3823 66    . pmovsxwd   Vx,Wq      w
      0F3833 66    . pmovzxwd   Vx,Wq      w
      0F3824 66    . pmovsxwq   Vx,Wd      w
      0F3834 66    . pmovzxwq   Vx,Wd      w
      0F3825 66    . pmovsxdq   Vx,Wq      w
      0F3835 66    . pmovzxdq   Vx,Wq      w
      0F3828 66    . pmuldq     Vx,Wx      x
      0F3829 66    . pcmpeqq    Vx,Wx      x
      0F382B 66    . packusdw   Vx,Wx      x
      0F3838 66    . pminsb     Vx,Wx      x
      0F3839 66    . pminsd     Vx,Wx      x
      0F383A 66    . pminuw     Vx,Wx      x
      0F383B 66    . pminud     Vx,Wx      x
      0F383C 66    . pmaxsb     Vx,Wx      x
      0F383D 66    . pmaxsd     Vx,Wx      x
      0F383E 66    . pmaxuw     Vx,Wx      x
      0F383F 66    . pmaxud     Vx,Wx      x
      0F3840 66    . pmulld     Vx,Wx      x
      0F3837 66    . pcmpgtq    Vx,Wx      x @sse42
      0F382A 66    . movntdqa   Vx,Mx      w
      0F3841 66    . phminposuw Vx,Wx      w
      0F3A08 66    . roundps    Vx,Wx,Ib   w xm
      0F3A09 66    . roundpd    Vx,Wx,Ib   w xm
      0F3A0A 66    . roundss    Vss,Wss,Ib w xm
      0F3A0B 66    . roundsd    Vsd,Wsd,Ib w xm
      0F3A0C 66    . blendps    Vx,Wx,Ib   x
      0F3A0D 66    . blendpd    Vx,Wx,Ib   x
      0F3A0E 66    . pblendw    Vx,Wx,Ib   x
      0F3A14 66    . pextrb     Ed/b,Vx,Ib w
      0F3A15 66    . pextrw     Ed/w,Vx,Ib w
      0F3A16 66.Wd . pextrd     Ed,Vx,Ib   w
      0F3A16 66.Wq . pextrq     Eq,Vx,Ib   w
      0F3A17 66    . extractps  Ed,Vx,Ib   w
      0F3A20 66    . pinsrb     Vx,Ed/b,Ib x
      0F3A21 66    . insertps   Vx,Wd,Ib   x
      0F3A22 66.Wd . pinsrd     Vx,Ed,Ib   x
      0F3A22 66.Wq . pinsrq     Vx,Eq,Ib   x
      0F3A40 66    . dpps       Vx,Wx,Ib   x xm
      0F3A41 66    . dppd       Vx,Wx,Ib   x xm
      0F3A42 66    . mpsadbw    Vx,Wx,Ib   x
      0F3A60 66    . pcmpestrm  Vx,Wx,Ib   r wf ua @sse42
      0F3A61 66    . pcmpestri  Vx,Wx,Ib   r wf ua @sse42
      0F3A62 66    . pcmpistrm  Vx,Wx,Ib   r wf ua @sse42
      0F3A63 66    . pcmpistri  Vx,Wx,Ib   r wf ua @sse42
      """)

  /// AMD SSE4a (APM 4).
  static let sse4a = OpcodeSection(
    .sse4a, .sse,
    rows: """
      0F2B F3 .   movntss Mss,Vss     w
      0F2B F2 .   movntsd Msd,Vsd     w
      0F78 66 /0r extrq   Ux,Ib,Ib    x
      0F79 66 .   extrq   Vx,Ux       x
      0F78 F2 .   insertq Vx,Ux,Ib,Ib x
      0F79 F2 .   insertq Vx,Ux       x
      """)

  /// AES, PCLMULQDQ, SHA and GFNI.
  static let cryptography = OpcodeSection(
    .aes, .sse,
    rows: """
      0F38DB 66 . aesimc           Vx,Wx      w
      0F38DC 66 . aesenc           Vx,Wx      x
      0F38DD 66 . aesenclast       Vx,Wx      x
      0F38DE 66 . aesdec           Vx,Wx      x
      0F38DF 66 . aesdeclast       Vx,Wx      x
      0F3ADF 66 . aeskeygenassist  Vx,Wx,Ib   w
      0F3A44 66 . pclmulqdq        Vx,Wx,Ib   x @pclmulqdq
      0F38C8 NP . sha1nexte        Vx,Wx      x @sha
      0F38C9 NP . sha1msg1         Vx,Wx      x @sha
      0F38CA NP . sha1msg2         Vx,Wx      x @sha
      0F38CB NP . sha256rnds2      Vx,Wx,XMM0 x @sha
      0F38CC NP . sha256msg1       Vx,Wx      x @sha
      0F38CD NP . sha256msg2       Vx,Wx      x @sha
      0F3ACC NP . sha1rnds4        Vx,Wx,Ib   x @sha
      0F38CF 66 . gf2p8mulb        Vx,Wx      x @gfni
      0F3ACE 66 . gf2p8affineqb    Vx,Wx,Ib   x @gfni
      0F3ACF 66 . gf2p8affineinvqb Vx,Wx,Ib   x @gfni
      """)
}
