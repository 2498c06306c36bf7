/// What an instruction does: the manual's mnemonic in lower case, one for all its encodings. AVX forms have
/// their own (`vaddps`). Near and far forms of CALL, JMP and RET are apart, conditions are not:
/// `jcc`, `setcc` and `cmovcc` keep the condition in the low four bits of `Instruction.opcode`.
public enum Operation: UInt16, Sendable, CaseIterable {
  case invalid
  // Integer arithmetic and logic.
  case add, or, adc, sbb, and, sub, xor, cmp, test, inc, dec, neg, not, mul, imul, div, idiv
  case rol, ror, rcl, rcr, shl, shr, sar, shld, shrd, bt, bts, btr, btc, bsf, bsr, bswap
  case xadd, cmpxchg, cmpxchg8b, cmpxchg16b, xchg, adcx, adox, crc32, popcnt, lzcnt, tzcnt
  case andn, bextr, blsi, blsmsk, blsr, bzhi, mulx, pdep, pext, rorx, sarx, shlx, shrx, movbe
  case aaa, aad, aam, aas, daa, das
  // `convert*`: CBW, CWDE, CDQE by operand size; CWD, CDQ, CQO by operand size.
  case cbw, cwd
  // Moves. `mov` has every form but those with segment, control and debug registers.
  case mov, movSegment, movControl, movDebug, movzx, movsx, movsxd, cmovcc, setcc, lea, xlat
  case push, pop, pushSegment, popSegment, pusha, popa, pushf, popf, enter, leave, lahf, sahf
  case les, lds, lss, lfs, lgs
  // Strings.
  case movs, cmps, stos, lods, scas, ins, outs
  // Control flow.
  case jcc, jmp, call, ret, jmpFar, callFar, retFar, iret, loop, loope, loopne, jcxz
  case int3, int1, intImmediate, into, bound
  case syscall, sysret, sysenter, sysexit
  // Flags and hints.
  case clc, stc, cmc, cld, std, cli, sti, clac, stac, nop, pause, prefetch, prefetchw, ud
  case endbr, lfence, mfence, sfence, wbinvd, invd, clflush, clflushopt, clwb, clzero, wbnoinvd
  // Input and output.
  case `in`, out
  // System.
  case hlt, cpuid, rdtsc, rdtscp, rdpmc, rdmsr, wrmsr, rdpid, rdrand, rdseed, xgetbv, xsetbv
  case lgdt, sgdt, lidt, sidt, lldt, sldt, ltr, str, lmsw, smsw, clts, arpl, lar, lsl, verr, verw
  case invlpg, invpcid, swapgs, rdfsbase, rdgsbase, wrfsbase, wrgsbase, rsm, monitor, mwait
  case monitorx, mwaitx, serialize
  case vmcall, vmmcall, vmrun, vmload, vmsave, stgi, clgi, skinit, invlpga
  case vmxon, vmxoff, vmptrld, vmptrst, vmclear, vmread, vmwrite, vmlaunch, vmresume, invept,
    invvpid
  // Extended state.
  case fxsave, fxrstor, xsave, xsaveopt, xsavec, xsaves, xrstor, xrstors, ldmxcsr, stmxcsr,
    vldmxcsr, vstmxcsr
  case emms, fwait
}
