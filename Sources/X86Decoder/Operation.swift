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
  case vmxon, vmxoff, vmptrld, vmptrst, vmclear, vmread, vmwrite, vmlaunch, vmresume, invept
  case invvpid
  // Extended state.
  case fxsave, fxrstor, xsave, xsaveopt, xsavec, xsaves, xrstor, xrstors, ldmxcsr, stmxcsr
  case vldmxcsr, vstmxcsr
  case emms, fwait
  // x87.
  case f2xm1, fabs, fadd, faddp, fbld, fbstp, fchs, fcmovb, fcmovbe, fcmove, fcmovnb, fcmovnbe
  case fcmovne, fcmovnu, fcmovu, fcom, fcomi, fcomip, fcomp, fcompp, fcos, fdecstp, fdiv, fdivp
  case fdivr, fdivrp, ffree, ffreep, fiadd, ficom, ficomp, fidiv, fidivr, fild, fimul, fincstp
  case fist, fistp, fisttp, fisub, fisubr, fld, fld1, fldcw, fldenv, fldl2e, fldl2t, fldlg2
  case fldln2, fldpi, fldz, fmul, fmulp, fnclex, fndisi, fneni, fninit, fnop, fnsave, fnsetpm
  case fnstcw, fnstenv, fnstsw, fpatan, fprem, fprem1, fptan, frndint, frstor, fscale, fsin
  case fsincos, fsqrt, fst, fstp, fsub, fsubp, fsubr, fsubrp, ftst, fucom, fucomi, fucomip, fucomp
  case fucompp, fxam, fxch, fxtract, fyl2x, fyl2xp1
  // MMX and SSE.
  case addpd, addps, addsd, addss, addsubpd, addsubps, aesdec, aesdeclast, aesenc, aesenclast
  case aesimc, aeskeygenassist, andnpd, andnps, andpd, andps, blendpd, blendps, blendvpd, blendvps
  case cmppd, cmpps, cmpsd, cmpss, comisd, comiss, cvtdq2pd, cvtdq2ps, cvtpd2dq, cvtpd2pi
  case cvtpd2ps, cvtpi2pd, cvtpi2ps, cvtps2dq, cvtps2pd, cvtps2pi, cvtsd2si, cvtsd2ss, cvtsi2sd
  case cvtsi2ss, cvtss2sd, cvtss2si, cvttpd2dq, cvttpd2pi, cvttps2dq, cvttps2pi, cvttsd2si
  case cvttss2si, divpd, divps, divsd, divss, dppd, dpps, extractps, extrq, gf2p8affineinvqb
  case gf2p8affineqb, gf2p8mulb, haddpd, haddps, hsubpd, hsubps, insertps, insertq, lddqu
  case maskmovdqu, maskmovq, maxpd, maxps, maxsd, maxss, minpd, minps, minsd, minss, movapd
  case movaps, movd, movddup, movdq2q, movdqa, movdqu, movhlps, movhpd, movhps, movlhps, movlpd
  case movlps, movmskpd, movmskps, movntdq, movntdqa, movntpd, movntps, movntq, movntsd, movntss
  case movq, movq2dq, movsd, movshdup, movsldup, movss, movupd, movups, mpsadbw, mulpd, mulps
  case mulsd, mulss, orpd, orps, pabsb, pabsd, pabsw, packssdw, packsswb, packusdw, packuswb
  case paddb, paddd, paddq, paddsb, paddsw, paddusb, paddusw, paddw, palignr, pand, pandn, pavgb
  case pavgw, pblendvb, pblendw, pclmulqdq, pcmpeqb, pcmpeqd, pcmpeqq, pcmpeqw, pcmpestri
  case pcmpestrm, pcmpgtb, pcmpgtd, pcmpgtq, pcmpgtw, pcmpistri, pcmpistrm, pextrb, pextrd, pextrq
  case pextrw, phaddd, phaddsw, phaddw, phminposuw, phsubd, phsubsw, phsubw, pinsrb, pinsrd
  case pinsrq, pinsrw, pmaddubsw, pmaddwd, pmaxsb, pmaxsd, pmaxsw, pmaxub, pmaxud, pmaxuw, pminsb
  case pminsd, pminsw, pminub, pminud, pminuw, pmovmskb, pmovsxbd, pmovsxbq, pmovsxbw, pmovsxdq
  case pmovsxwd, pmovsxwq, pmovzxbd, pmovzxbq, pmovzxbw, pmovzxdq, pmovzxwd, pmovzxwq, pmuldq
  case pmulhrsw, pmulhuw, pmulhw, pmulld, pmullw, pmuludq, por, psadbw, pshufb, pshufd, pshufhw
  case pshuflw, pshufw, psignb, psignd, psignw, pslld, pslldq, psllq, psllw, psrad, psraw, psrld
  case psrldq, psrlq, psrlw, psubb, psubd, psubq, psubsb, psubsw, psubusb, psubusw, psubw, ptest
  case punpckhbw, punpckhdq, punpckhqdq, punpckhwd, punpcklbw, punpckldq, punpcklqdq, punpcklwd
  case pxor, rcpps, rcpss, roundpd, roundps, roundsd, roundss, rsqrtps, rsqrtss, sha1msg1
  case sha1msg2, sha1nexte, sha1rnds4, sha256msg1, sha256msg2, sha256rnds2, shufpd, shufps, sqrtpd
  case sqrtps, sqrtsd, sqrtss, subpd, subps, subsd, subss, ucomisd, ucomiss, unpckhpd, unpckhps
  case unpcklpd, unpcklps, xorpd, xorps
  // AVX, AVX2, FMA3 and F16C.
  case vaddpd, vaddps, vaddsd, vaddss, vaddsubpd, vaddsubps, vaesdec, vaesdeclast, vaesenc
  case vaesenclast, vaesimc, vaeskeygenassist, vandnpd, vandnps, vandpd, vandps, vblendpd
  case vblendps, vblendvpd, vblendvps, vbroadcastf128, vbroadcasti128, vbroadcastsd, vbroadcastss
  case vcmppd, vcmpps, vcmpsd, vcmpss, vcomisd, vcomiss, vcvtdq2pd, vcvtdq2ps, vcvtpd2dq
  case vcvtpd2ps, vcvtph2ps, vcvtps2dq, vcvtps2pd, vcvtps2ph, vcvtsd2si, vcvtsd2ss, vcvtsi2sd
  case vcvtsi2ss, vcvtss2sd, vcvtss2si, vcvttpd2dq, vcvttps2dq, vcvttsd2si, vcvttss2si, vdivpd
  case vdivps, vdivsd, vdivss, vdppd, vdpps, vextractf128, vextracti128, vextractps, vfmadd132pd
  case vfmadd132ps, vfmadd132sd, vfmadd132ss, vfmadd213pd, vfmadd213ps, vfmadd213sd, vfmadd213ss
  case vfmadd231pd, vfmadd231ps, vfmadd231sd, vfmadd231ss, vfmaddsub132pd, vfmaddsub132ps
  case vfmaddsub213pd, vfmaddsub213ps, vfmaddsub231pd, vfmaddsub231ps, vfmsub132pd, vfmsub132ps
  case vfmsub132sd, vfmsub132ss, vfmsub213pd, vfmsub213ps, vfmsub213sd, vfmsub213ss, vfmsub231pd
  case vfmsub231ps, vfmsub231sd, vfmsub231ss, vfmsubadd132pd, vfmsubadd132ps, vfmsubadd213pd
  case vfmsubadd213ps, vfmsubadd231pd, vfmsubadd231ps, vfnmadd132pd, vfnmadd132ps, vfnmadd132sd
  case vfnmadd132ss, vfnmadd213pd, vfnmadd213ps, vfnmadd213sd, vfnmadd213ss, vfnmadd231pd
  case vfnmadd231ps, vfnmadd231sd, vfnmadd231ss, vfnmsub132pd, vfnmsub132ps, vfnmsub132sd
  case vfnmsub132ss, vfnmsub213pd, vfnmsub213ps, vfnmsub213sd, vfnmsub213ss, vfnmsub231pd
  case vfnmsub231ps, vfnmsub231sd, vfnmsub231ss, vgatherdpd, vgatherdps, vgatherqpd, vgatherqps
  case vgf2p8affineinvqb, vgf2p8affineqb, vgf2p8mulb, vhaddpd, vhaddps, vhsubpd, vhsubps
  case vinsertf128, vinserti128, vinsertps, vlddqu, vmaskmovdqu, vmaskmovpd, vmaskmovps, vmaxpd
  case vmaxps, vmaxsd, vmaxss, vminpd, vminps, vminsd, vminss, vmovapd, vmovaps, vmovd, vmovddup
  case vmovdqa, vmovdqu, vmovhlps, vmovhpd, vmovhps, vmovlhps, vmovlpd, vmovlps, vmovmskpd
  case vmovmskps, vmovntdq, vmovntdqa, vmovntpd, vmovntps, vmovq, vmovsd, vmovshdup, vmovsldup
  case vmovss, vmovupd, vmovups, vmpsadbw, vmulpd, vmulps, vmulsd, vmulss, vorpd, vorps, vpabsb
  case vpabsd, vpabsw, vpackssdw, vpacksswb, vpackusdw, vpackuswb, vpaddb, vpaddd, vpaddq, vpaddsb
  case vpaddsw, vpaddusb, vpaddusw, vpaddw, vpalignr, vpand, vpandn, vpavgb, vpavgw, vpblendd
  case vpblendvb, vpblendw, vpbroadcastb, vpbroadcastd, vpbroadcastq, vpbroadcastw, vpclmulqdq
  case vpcmpeqb, vpcmpeqd, vpcmpeqq, vpcmpeqw, vpcmpestri, vpcmpestrm, vpcmpgtb, vpcmpgtd
  case vpcmpgtq, vpcmpgtw, vpcmpistri, vpcmpistrm, vpdpbusd, vpdpbusds, vpdpwssd, vpdpwssds
  case vperm2f128, vperm2i128, vpermd, vpermilpd, vpermilps, vpermpd, vpermps, vpermq, vpextrb
  case vpextrd, vpextrq, vpextrw, vpgatherdd, vpgatherdq, vpgatherqd, vpgatherqq, vphaddd
  case vphaddsw, vphaddw, vphminposuw, vphsubd, vphsubsw, vphsubw, vpinsrb, vpinsrd, vpinsrq
  case vpinsrw, vpmaddubsw, vpmaddwd, vpmaskmovd, vpmaskmovq, vpmaxsb, vpmaxsd, vpmaxsw, vpmaxub
  case vpmaxud, vpmaxuw, vpminsb, vpminsd, vpminsw, vpminub, vpminud, vpminuw, vpmovmskb
  case vpmovsxbd, vpmovsxbq, vpmovsxbw, vpmovsxdq, vpmovsxwd, vpmovsxwq, vpmovzxbd, vpmovzxbq
  case vpmovzxbw, vpmovzxdq, vpmovzxwd, vpmovzxwq, vpmuldq, vpmulhrsw, vpmulhuw, vpmulhw, vpmulld
  case vpmullw, vpmuludq, vpor, vpsadbw, vpshufb, vpshufd, vpshufhw, vpshuflw, vpsignb, vpsignd
  case vpsignw, vpslld, vpslldq, vpsllq, vpsllvd, vpsllvq, vpsllw, vpsrad, vpsravd, vpsraw, vpsrld
  case vpsrldq, vpsrlq, vpsrlvd, vpsrlvq, vpsrlw, vpsubb, vpsubd, vpsubq, vpsubsb, vpsubsw
  case vpsubusb, vpsubusw, vpsubw, vptest, vpunpckhbw, vpunpckhdq, vpunpckhqdq, vpunpckhwd
  case vpunpcklbw, vpunpckldq, vpunpcklqdq, vpunpcklwd, vpxor, vrcpps, vrcpss, vroundpd, vroundps
  case vroundsd, vroundss, vrsqrtps, vrsqrtss, vshufpd, vshufps, vsqrtpd, vsqrtps, vsqrtsd
  case vsqrtss, vsubpd, vsubps, vsubsd, vsubss, vtestpd, vtestps, vucomisd, vucomiss, vunpckhpd
  case vunpckhps, vunpcklpd, vunpcklps, vxorpd, vxorps, vzeroall, vzeroupper
  // Transactions (never offered), and AVX-512 (decoded for its length).
  case xbegin, xabort, evex
}
