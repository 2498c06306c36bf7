extension OpcodeSection {
  /// SSE2: packed integers.
  static let sseIntegers = OpcodeSection(
    .sse2, .sse,
    rows: """
      0F60 66 .  punpcklbw  Vx,Wx x
      0F61 66 .  punpcklwd  Vx,Wx x
      0F62 66 .  punpckldq  Vx,Wx x
      0F63 66 .  packsswb   Vx,Wx x
      0F64 66 .  pcmpgtb    Vx,Wx x
      0F65 66 .  pcmpgtw    Vx,Wx x
      0F66 66 .  pcmpgtd    Vx,Wx x
      0F67 66 .  packuswb   Vx,Wx x
      0F68 66 .  punpckhbw  Vx,Wx x
      0F69 66 .  punpckhwd  Vx,Wx x
      0F6A 66 .  punpckhdq  Vx,Wx x
      0F6B 66 .  packssdw   Vx,Wx x
      0F74 66 .  pcmpeqb    Vx,Wx x
      0F75 66 .  pcmpeqw    Vx,Wx x
      0F76 66 .  pcmpeqd    Vx,Wx x
      0FD1 66 .  psrlw      Vx,Wx x
      0FD2 66 .  psrld      Vx,Wx x
      0FD3 66 .  psrlq      Vx,Wx x
      0FD4 66 .  paddq      Vx,Wx x
      0FD5 66 .  pmullw     Vx,Wx x
      0FD8 66 .  psubusb    Vx,Wx x
      0FD9 66 .  psubusw    Vx,Wx x
      0FDA 66 .  pminub     Vx,Wx x
      0FDB 66 .  pand       Vx,Wx x
      0FDC 66 .  paddusb    Vx,Wx x
      0FDD 66 .  paddusw    Vx,Wx x
      0FDE 66 .  pmaxub     Vx,Wx x
      0FDF 66 .  pandn      Vx,Wx x
      0FE0 66 .  pavgb      Vx,Wx x
      0FE1 66 .  psraw      Vx,Wx x
      0FE2 66 .  psrad      Vx,Wx x
      0FE3 66 .  pavgw      Vx,Wx x
      0FE4 66 .  pmulhuw    Vx,Wx x
      0FE5 66 .  pmulhw     Vx,Wx x
      0FE8 66 .  psubsb     Vx,Wx x
      0FE9 66 .  psubsw     Vx,Wx x
      0FEA 66 .  pminsw     Vx,Wx x
      0FEB 66 .  por        Vx,Wx x
      0FEC 66 .  paddsb     Vx,Wx x
      0FED 66 .  paddsw     Vx,Wx x
      0FEE 66 .  pmaxsw     Vx,Wx x
      0FEF 66 .  pxor       Vx,Wx x
      0FF1 66 .  psllw      Vx,Wx x
      0FF2 66 .  pslld      Vx,Wx x
      0FF3 66 .  psllq      Vx,Wx x
      0FF4 66 .  pmuludq    Vx,Wx x
      0FF5 66 .  pmaddwd    Vx,Wx x
      0FF6 66 .  psadbw     Vx,Wx x
      0FF8 66 .  psubb      Vx,Wx x
      0FF9 66 .  psubw      Vx,Wx x
      0FFA 66 .  psubd      Vx,Wx x
      0FFB 66 .  psubq      Vx,Wx x
      0FFC 66 .  paddb      Vx,Wx x
      0FFD 66 .  paddw      Vx,Wx x
      0FFE 66 .  paddd      Vx,Wx x
      0F6C 66 .  punpcklqdq Vx,Wx x
      0F6D 66 .  punpckhqdq Vx,Wx x
      0F71 66 /2 psrlw      Ux,Ib x
      0F71 66 /4 psraw      Ux,Ib x
      0F71 66 /6 psllw      Ux,Ib x
      0F72 66 /2 psrld      Ux,Ib x
      0F72 66 /4 psrad      Ux,Ib x
      0F72 66 /6 pslld      Ux,Ib x
      0F73 66 /2 psrlq      Ux,Ib x
      0F73 66 /6 psllq      Ux,Ib x
      0F73 66 /3 psrldq     Ux,Ib x
      0F73 66 /7 pslldq     Ux,Ib x
      """)

  /// SSSE3 on XMM registers.
  static let ssse3 = OpcodeSection(
    .ssse3, .sse,
    rows: """
      0F3800 66 . pshufb    Vx,Wx    x
      0F3801 66 . phaddw    Vx,Wx    x
      0F3802 66 . phaddd    Vx,Wx    x
      0F3803 66 . phaddsw   Vx,Wx    x
      0F3804 66 . pmaddubsw Vx,Wx    x
      0F3805 66 . phsubw    Vx,Wx    x
      0F3806 66 . phsubd    Vx,Wx    x
      0F3807 66 . phsubsw   Vx,Wx    x
      0F3808 66 . psignb    Vx,Wx    x
      0F3809 66 . psignw    Vx,Wx    x
      0F380A 66 . psignd    Vx,Wx    x
      0F380B 66 . pmulhrsw  Vx,Wx    x
      0F381C 66 . pabsb     Vx,Wx    w
      0F381D 66 . pabsw     Vx,Wx    w
      0F381E 66 . pabsd     Vx,Wx    w
      0F3A0F 66 . palignr   Vx,Wx,Ib x
      """)
}
