extension OpcodeSection {
  /// MMX, with what SSE and SSE2 added to it.
  static let mmx = OpcodeSection(
    .mmx, .mmx,
    rows: """
      0F60 NP    .  punpcklbw Pq,Qd      x
      0F61 NP    .  punpcklwd Pq,Qd      x
      0F62 NP    .  punpckldq Pq,Qd      x
      0F63 NP    .  packsswb  Pq,Qq      x
      0F64 NP    .  pcmpgtb   Pq,Qq      x
      0F65 NP    .  pcmpgtw   Pq,Qq      x
      0F66 NP    .  pcmpgtd   Pq,Qq      x
      0F67 NP    .  packuswb  Pq,Qq      x
      0F68 NP    .  punpckhbw Pq,Qq      x
      0F69 NP    .  punpckhwd Pq,Qq      x
      0F6A NP    .  punpckhdq Pq,Qq      x
      0F6B NP    .  packssdw  Pq,Qq      x
      0F74 NP    .  pcmpeqb   Pq,Qq      x
      0F75 NP    .  pcmpeqw   Pq,Qq      x
      0F76 NP    .  pcmpeqd   Pq,Qq      x
      0FD1 NP    .  psrlw     Pq,Qq      x
      0FD2 NP    .  psrld     Pq,Qq      x
      0FD3 NP    .  psrlq     Pq,Qq      x
      0FD4 NP    .  paddq     Pq,Qq      x @sse2
      0FD5 NP    .  pmullw    Pq,Qq      x
      0FD8 NP    .  psubusb   Pq,Qq      x
      0FD9 NP    .  psubusw   Pq,Qq      x
      0FDA NP    .  pminub    Pq,Qq      x @sse
      0FDB NP    .  pand      Pq,Qq      x
      0FDC NP    .  paddusb   Pq,Qq      x
      0FDD NP    .  paddusw   Pq,Qq      x
      0FDE NP    .  pmaxub    Pq,Qq      x @sse
      0FDF NP    .  pandn     Pq,Qq      x
      0FE0 NP    .  pavgb     Pq,Qq      x @sse
      0FE1 NP    .  psraw     Pq,Qq      x
      0FE2 NP    .  psrad     Pq,Qq      x
      0FE3 NP    .  pavgw     Pq,Qq      x @sse
      0FE4 NP    .  pmulhuw   Pq,Qq      x @sse
      0FE5 NP    .  pmulhw    Pq,Qq      x
      0FE8 NP    .  psubsb    Pq,Qq      x
      0FE9 NP    .  psubsw    Pq,Qq      x
      0FEA NP    .  pminsw    Pq,Qq      x @sse
      0FEB NP    .  por       Pq,Qq      x
      0FEC NP    .  paddsb    Pq,Qq      x
      0FED NP    .  paddsw    Pq,Qq      x
      0FEE NP    .  pmaxsw    Pq,Qq      x @sse
      0FEF NP    .  pxor      Pq,Qq      x
      0FF1 NP    .  psllw     Pq,Qq      x
      0FF2 NP    .  pslld     Pq,Qq      x
      0FF3 NP    .  psllq     Pq,Qq      x
      0FF4 NP    .  pmuludq   Pq,Qq      x @sse2
      0FF5 NP    .  pmaddwd   Pq,Qq      x
      0FF6 NP    .  psadbw    Pq,Qq      x @sse
      0FF8 NP    .  psubb     Pq,Qq      x
      0FF9 NP    .  psubw     Pq,Qq      x
      0FFA NP    .  psubd     Pq,Qq      x
      0FFB NP    .  psubq     Pq,Qq      x @sse2
      0FFC NP    .  paddb     Pq,Qq      x
      0FFD NP    .  paddw     Pq,Qq      x
      0FFE NP    .  paddd     Pq,Qq      x
      0F71 NP    /2 psrlw     Nq,Ib      x
      0F71 NP    /4 psraw     Nq,Ib      x
      0F71 NP    /6 psllw     Nq,Ib      x
      0F72 NP    /2 psrld     Nq,Ib      x
      0F72 NP    /4 psrad     Nq,Ib      x
      0F72 NP    /6 pslld     Nq,Ib      x
      0F73 NP    /2 psrlq     Nq,Ib      x
      0F73 NP    /6 psllq     Nq,Ib      x
      0F6E NP.Wd .  movd      Pq,Ed      w
      0F6E NP.Wq .  movq      Pq,Eq      w
      0F6F NP    .  movq      Pq,Qq      w
      0F70 NP    .  pshufw    Pq,Qq,Ib   w @sse
      0F77 NP    .  emms      .
      0F7E NP.Wd .  movd      Ed,Pd      w
      0F7E NP.Wq .  movq      Eq,Pq      w
      0F7F NP    .  movq      Qq,Pq      w
      0FC4 NP    .  pinsrw    Pq,Ed/w,Ib x @sse
      0FC5 NP    .  pextrw    Gd,Nq,Ib   w @sse
      0FD7 NP    .  pmovmskb  Gd,Nq      w @sse
      0FE7 NP    .  movntq    Mq,Pq      w @sse
      0FF7 NP    .  maskmovq  Pq,Nq      r @sse
      """)

  /// SSSE3 on MMX registers.
  static let ssse3MMX = OpcodeSection(
    .ssse3, .mmx,
    rows: """
      0F3800 NP . pshufb    Pq,Qq    x
      0F3801 NP . phaddw    Pq,Qq    x
      0F3802 NP . phaddd    Pq,Qq    x
      0F3803 NP . phaddsw   Pq,Qq    x
      0F3804 NP . pmaddubsw Pq,Qq    x
      0F3805 NP . phsubw    Pq,Qq    x
      0F3806 NP . phsubd    Pq,Qq    x
      0F3807 NP . phsubsw   Pq,Qq    x
      0F3808 NP . psignb    Pq,Qq    x
      0F3809 NP . psignw    Pq,Qq    x
      0F380A NP . psignd    Pq,Qq    x
      0F380B NP . pmulhrsw  Pq,Qq    x
      0F381C NP . pabsb     Pq,Qq    w
      0F381D NP . pabsw     Pq,Qq    w
      0F381E NP . pabsd     Pq,Qq    w
      0F3A0F NP . palignr   Pq,Qq,Ib x
      """)
}
