extension OpcodeSection {
  /// Two-byte opcodes: moves, hints, and what is left of the integer instructions.
  static let twoByte = OpcodeSection(
    .base,
    rows: """
      0F0B   .   .   ud          .     . cf
      0F0D   .   m   prefetch    Mb    r @prefetchw
      0F0D   .   /1m prefetchw   Mb    r @prefetchw
      0F0D   .   r   nop         Ev    r @prefetchw
      0F18   .   /0m prefetch    Mb    r
      0F18   .   /1m prefetch    Mb    r
      0F18   .   /2m prefetch    Mb    r
      0F18   .   /3m prefetch    Mb    r
      0F18   .   .   nop         Ev    r
      0F19   .   .   nop         Ev    r
      0F1A   .   .   nop         Ev    r
      0F1B   .   .   nop         Ev    r
      0F1C   .   .   nop         Ev    r
      0F1D   .   .   nop         Ev    r
      0F1F   .   .   nop         Ev    r
      0F1E   .   .   nop         Ev    r
      0F1E   F3  =FA endbr       .
      0F1E   F3  =FB endbr       .
      0F40+c .   .   cmovcc      Gv,Ev w rf @cmov
      0F80+c .   .   jcc         Jz    r f64 cf rf
      0F90+c .   .   setcc       Eb    w rf
      0FA0   .   .   pushSegment FS    r d64
      0FA1   .   .   popSegment  FS    w d64
      0FA8   .   .   pushSegment GS    r d64
      0FA9   .   .   popSegment  GS    w d64
      0FB2   .   .   lss         Gv,Mp w
      0FB4   .   .   lfs         Gv,Mp w
      0FB5   .   .   lgs         Gv,Mp w
      0FB6   .   .   movzx       Gv,Eb w
      0FB7   .   .   movzx       Gv,Ew w
      0FB9   .   .   ud          Gd,Ed r cf
      0FBE   .   .   movsx       Gv,Eb w
      0FBF   .   .   movsx       Gv,Ew w
      0FC3   NP  .   mov         My,Gy w @sse2
      0FC8+r .   .   bswap       Zv    x
      0FFF   .   .   ud          Gd,Ed r cf
      0F38F0 NFx .   movbe       Gv,Mv w @movbe
      0F38F1 NFx .   movbe       Mv,Gv w @movbe
      """)

  /// Two-byte opcodes: bits, double shifts, exchanges.
  static let bitOperations = OpcodeSection(
    .base,
    rows: """
      0FA3   .  .   bt         Ev,Gv    r  wf
      0FAB   .  .   bts        Ev,Gv    x  lock wf
      0FB3   .  .   btr        Ev,Gv    x  lock wf
      0FBB   .  .   btc        Ev,Gv    x  lock wf
      0FBA   .  /4  bt         Ev,Ib    r  wf
      0FBA   .  /5  bts        Ev,Ib    x  lock wf
      0FBA   .  /6  btr        Ev,Ib    x  lock wf
      0FBA   .  /7  btc        Ev,Ib    x  lock wf
      0FA4   .  .   shld       Ev,Gv,Ib x  wf
      0FA5   .  .   shld       Ev,Gv,CL x  wf
      0FAC   .  .   shrd       Ev,Gv,Ib x  wf
      0FAD   .  .   shrd       Ev,Gv,CL x  wf
      0FAF   .  .   imul       Gv,Ev    x  wf
      0FB0   .  .   cmpxchg    Eb,Gb    x  lock wf
      0FB1   .  .   cmpxchg    Ev,Gv    x  lock wf
      0FC0   .  .   xadd       Eb,Gb    xx lock wf
      0FC1   .  .   xadd       Ev,Gv    xx lock wf
      0FC7   W0 /1m cmpxchg8b  Mq       x  lock wf @cmpxchg8b
      0FC7   W1 /1m cmpxchg16b Mdq      x  lock wf @cmpxchg16b
      0FB8   F3 .   popcnt     Gv,Ev    w  wf @popcnt
      0FBC   .  .   bsf        Gv,Ev    x  wf
      0FBC   F3 .   tzcnt      Gv,Ev    w  wf
      0FBD   .  .   bsr        Gv,Ev    x  wf
      0FBD   F3 .   lzcnt      Gv,Ev    w  wf
      0F38F0 F2 .   crc32      Gy,Eb    x  @sse42
      0F38F1 F2 .   crc32      Gy,Ev    x  @sse42
      0F38F6 66 .   adcx       Gy,Ey    x  wf rf @adx
      0F38F6 F3 .   adox       Gy,Ey    x  wf rf @adx
      """)
}
