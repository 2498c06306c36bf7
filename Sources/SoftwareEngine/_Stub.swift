import EngineInterface
import GuestMemory
import MachineTypes
import X86
import X86Decoder
