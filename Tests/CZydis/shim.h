#include <Zydis/Zydis.h>
#include <string.h>

/// What the decoder tests compare, out of Zydis's answer.
struct czydis_instruction {
  int valid;
  int length;
  int encoding;
  int category;
  const char *mnemonic;
  int hasMemory;
  int base, index, scale, segment;  // 16: none, 17: RIP
  long long displacement;
  int memoryBytes;
  int reads, writes;
  int immediateCount;
  unsigned long long immediates[2];
  int immediateBits[2];
  // The explicit register operands in order; AH, CH, DH and BH are 16…19, as ours.
  int registerCount;
  int registers[8];
  // Bits of EFLAGS.
  unsigned flagsRead, flagsWritten;
};

static inline int czydis_register(ZydisRegister value) {
  if (value == ZYDIS_REGISTER_NONE) return 16;
  if (value == ZYDIS_REGISTER_RIP || value == ZYDIS_REGISTER_EIP) return 17;
  return ZydisRegisterGetId(value);
}

static inline int czydis_operand_register(ZydisRegister value) {
  int number = ZydisRegisterGetId(value);
  if (ZydisRegisterGetClass(value) != ZYDIS_REGCLASS_GPR8 || number < 4) return number;
  return number < 8 ? number + 12 : number - 4;
}

/// Decodes in 16-, 32- or 64-bit mode.
static inline struct czydis_instruction czydis_decode(
    int bits, const unsigned char *bytes, unsigned long count) {
  struct czydis_instruction result;
  memset(&result, 0, sizeof result);
  ZydisDecoder decoder;
  ZydisDecoderInit(
      &decoder,
      bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
      : bits == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
                   : ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
      bits == 64   ? ZYDIS_STACK_WIDTH_64
      : bits == 32 ? ZYDIS_STACK_WIDTH_32
                   : ZYDIS_STACK_WIDTH_16);
  ZydisDecodedInstruction instruction;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
  if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, count, &instruction, operands)))
    return result;
  result.valid = 1;
  result.length = instruction.length;
  result.encoding = instruction.encoding;
  result.category = instruction.meta.category;
  result.mnemonic = ZydisMnemonicGetString(instruction.mnemonic);
  if (instruction.cpu_flags) {
    const ZydisAccessedFlags *flags = instruction.cpu_flags;
    result.flagsRead = flags->tested;
    result.flagsWritten = flags->modified | flags->set_0 | flags->set_1 | flags->undefined;
  }
  for (int i = 0; i < instruction.operand_count; ++i) {
    const ZydisDecodedOperand *operand = &operands[i];
    if (operand->type == ZYDIS_OPERAND_TYPE_REGISTER &&
        operand->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT)
      result.registers[result.registerCount++] = czydis_operand_register(operand->reg.value);
    if (operand->type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    if (operand->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM &&
        operand->encoding != ZYDIS_OPERAND_ENCODING_DISP16_32_64)
      continue;
    result.hasMemory = 1;
    result.base = czydis_register(operand->mem.base);
    result.index = czydis_register(operand->mem.index);
    result.scale = operand->mem.scale;
    result.segment = ZydisRegisterGetId(operand->mem.segment);
    result.displacement = operand->mem.disp.value;
    result.memoryBytes = operand->size / 8;
    result.reads = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_READ) != 0;
    result.writes = (operand->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
  }
  for (int i = 0; i < 2; ++i) {
    if (instruction.raw.imm[i].size == 0) continue;
    result.immediates[i] = instruction.raw.imm[i].value.u;
    result.immediateBits[i] = instruction.raw.imm[i].size;
    result.immediateCount = i + 1;
  }
  return result;
}
