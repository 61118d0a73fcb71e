/* Counter 1.0.0 as docs/abi.md describes a module, without anything of Rust: each participant adds a
 * number, and all learn the sum. It answers every input with the bytes that counter-1-0-0 answers.
 *
 * `cargo xtask protocols` builds it where clang and wasm-ld are there; elsewhere the module beside it,
 * which clang 14 made of this file, is taken. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name), used))

/* ---- Memory. An instance serves one call, so nothing is ever given back. ---- */

extern uint8_t __heap_base;
static uintptr_t heap;

static uint8_t *allocate(size_t size) {
  uintptr_t from = heap ? heap : (uintptr_t)&__heap_base;
  heap = (from + size + 15) & ~(uintptr_t)15;
  size_t have = __builtin_wasm_memory_size(0) << 16;
  if (have < heap && __builtin_wasm_memory_grow(0, (heap - have + 65535) >> 16) == (size_t)-1)
    __builtin_trap(); /* The host then says that the module ran out of memory. */
  return (uint8_t *)from;
}

static bool same(const uint8_t *a, const uint8_t *b, size_t size) {
  while (size && *a == *b) a++, b++, size--;
  return size == 0;
}

/* ---- Reading. What ends early or is no value of its type sets `bad`, and all that follows is empty. */

typedef struct {
  const uint8_t *at, *end;
  bool bad;
} Reader;

typedef struct {
  const uint8_t *at;
  uint32_t size;
} Bytes;

static const uint8_t *take(Reader *in, uint32_t size) {
  static const uint8_t nothing[32];
  if (in->bad || (size_t)(in->end - in->at) < size) {
    in->bad = true;
    return nothing; /* At most 32 bytes are looked at without asking `bad` first. */
  }
  in->at += size;
  return in->at - size;
}

static uint64_t integer(Reader *in, unsigned bytes) {
  const uint8_t *at = take(in, bytes);
  uint64_t value = 0;
  for (unsigned it = 0; it < bytes; it++) value |= (uint64_t)at[it] << (8 * it);
  return value;
}

static uint8_t tag(Reader *in, uint8_t variants) {
  uint8_t found = (uint8_t)integer(in, 1);
  if (found >= variants) in->bad = true;
  return found;
}

static Bytes bytes(Reader *in) {
  uint32_t size = (uint32_t)integer(in, 4);
  Bytes it = {take(in, size), size};
  if (in->bad) it.size = 0;
  return it;
}

/* A count, then so many things of `each` bytes. */
static Bytes many(Reader *in, uint32_t each) {
  uint32_t count = (uint32_t)integer(in, 4);
  if (count > (size_t)(in->end - in->at) / each) in->bad = true;
  Bytes it = {take(in, in->bad ? 0 : count * each), in->bad ? 0 : count};
  return it;
}

/* ---- Writing. The answer is never longer than the question and what is constant here. ---- */

static uint8_t *out;

static void put(const void *from, uint32_t size) {
  for (const uint8_t *at = from; size; size--) *out++ = *at++;
}

static void put_integer(uint64_t value, unsigned bytes) {
  for (; bytes; bytes--, value >>= 8) *out++ = (uint8_t)value;
}

static void put_bytes(Bytes it) {
  put_integer(it.size, 4);
  put(it.at, it.size);
}

static Bytes text(const char *it) {
  uint32_t size = 0;
  while (it[size]) size++;
  return (Bytes){(const uint8_t *)it, size};
}

static uint8_t *decimal(uint8_t *to, uint64_t value) {
  uint8_t digits[20], count = 0;
  do digits[count++] = '0' + value % 10;
  while (value /= 10);
  while (count) *to++ = digits[--count];
  return to;
}

/* ---- Replies: the tags of `Reply` and `ProtocolError`. ---- */

enum { DESCRIBED, STEPPED, FORWARD, BACKWARD, FAILED, UNSUPPORTED };
enum { BAD_STATE, BAD_EVENT, BAD_INPUT, UNEXPECTED, IRREVERSIBLE };

static void fail(uint8_t error, const char *reason) {
  put_integer(FAILED, 1);
  put_integer(error, 1);
  put_bytes(text(reason));
}

/* ---- The descriptor: the custom section's content, and behind its tag the answer to `Describe`. ---- */

/* clang-format off */
#define ZERO_8 0, 0, 0, 0, 0, 0, 0, 0
#define DESCRIPTOR \
  7, 0, 0, 0, 'c', 'o', 'u', 'n', 't', 'e', 'r',       /* protocol */ \
  1, 0, 0, 0, 0, 0,                                    /* version 1.0.0 */ \
  1, 0,                                                /* abi */ \
  0,                                                   /* role: protocol */ \
  1, 0, 0, 0, 1,                                       /* capabilities: write records */ \
  0, 0, 0, 0,                                          /* session types */ \
  0x66, 0x65, 0xd9, 0x61, 0x75, 0x3f, 0x3c, 0x2c,      /* schema */ \
  0x82, 0xd6, 0xb9, 0x42, 0xbe, 0x4d, 0x58, 0xb9, \
  0x3d, 0x2c, 0xee, 0xcf, 0x02, 0x8e, 0xda, 0x02, \
  0x76, 0xef, 0x90, 0xf9, 0xaf, 0x3d, 0xd3, 0xfc, \
  0, 0, 0, 0,                                          /* uses */ \
  19, 0, 0, 0, 't', 'h', 'e', ' ', 'a', 'u', 't', 'h', 'o', 'r', 's', ' ', 'o', 'f', ' ', 'A', 'u', 'r', 'a', \
  ZERO_8, ZERO_8, ZERO_8, ZERO_8                       /* source: not said */
/* clang-format on */

static const uint8_t descriptor[] = {DESCRIPTOR};

#define QUOTED(...) #__VA_ARGS__
#define SECTION(...) \
  __asm__(".section .custom_section.aura.descriptor,\"\",@\n.byte " QUOTED(__VA_ARGS__) "\n.text\n")
SECTION(DESCRIPTOR);

/* ---- The session. ---- */

typedef struct {
  const uint8_t *from; /* A `SessionStart` as it stands in the input or the state. */
  uint32_t size;
  const uint8_t *session, *me;
  Bytes participants;
  uint16_t spoken[3];
} Start;

static Start start_of(Reader *in) {
  Start it = {.from = in->at};
  it.session = take(in, 32);
  it.me = take(in, 32);
  take(in, 32); /* The opener, who is nobody special here. */
  it.participants = many(in, 32);
  for (int part = 0; part < 3; part++) it.spoken[part] = (uint16_t)integer(in, 2);
  bytes(in); /* The parameters, of which there are none. */
  it.size = (uint32_t)(in->at - it.from);
  return it;
}

static bool takes_part(const Start *start, const uint8_t *device) {
  for (uint32_t it = 0; it < start->participants.size; it++)
    if (same(start->participants.at + 32 * it, device, 32)) return true;
  return false;
}

/* A number's author and value are 40 bytes; the map ascends by author. */
enum { NUMBER = 40 };

static void put_session(const Start *start, Bytes numbers, bool said) {
  put_integer(numbers.size * NUMBER + start->size + 6, 4);
  put_integer(1, 1); /* Some */
  put(start->from, start->size);
  put_integer(numbers.size, 4);
  put(numbers.at, numbers.size * NUMBER);
  put_integer(said, 1);
}

static void put_nothing_to_do(void) {
  put_integer(0, 4); /* effects */
  put_integer(0, 1); /* wake */
  put_integer(0, 1); /* outcome */
}

static void begin(Reader *in) {
  Start start = start_of(in);
  if (in->bad) return fail(BAD_INPUT, "not an envelope of ABI 1");
  if (!takes_part(&start, start.me)) return fail(BAD_INPUT, "this device is not a participant");
  if (start.spoken[0] != 1 || start.spoken[1] != 0) {
    char reason[64], *to = reason;
    for (const char *it = "1.0.0 does not speak "; *it;) *to++ = *it++;
    for (int part = 0; part < 3; part++) {
      to = (char *)decimal((uint8_t *)to, start.spoken[part]);
      *to++ = part < 2 ? '.' : 0;
    }
    return fail(BAD_INPUT, reason);
  }
  put_integer(STEPPED, 1);
  put_session(&start, (Bytes){0}, false);
  put_nothing_to_do();
}

static bool is_space(uint8_t it) {
  return it == ' ' || it == '\t' || it == '\n' || it == '\f' || it == '\r';
}

/* Whether it is a whole number that fits; spaces around it do not matter, nor does a plus. */
static bool number_of(Bytes said, uint64_t *value) {
  while (said.size && is_space(said.at[0])) said.at++, said.size--;
  while (said.size && is_space(said.at[said.size - 1])) said.size--;
  if (said.size && said.at[0] == '+') said.at++, said.size--;
  if (!said.size) return false;
  for (*value = 0; said.size; said.at++, said.size--) {
    uint8_t digit = (uint8_t)(said.at[0] - '0');
    if (digit > 9 || *value > (UINT64_MAX - digit) / 10) return false;
    *value = *value * 10 + digit;
  }
  return true;
}

static void say(const Start *start, Bytes numbers, bool said, Bytes signal) {
  uint64_t value;
  if (said) return fail(BAD_INPUT, "this device has already given its number");
  if (!number_of(signal, &value))
    return fail(BAD_INPUT, "expected a whole number from 0 to 18446744073709551615");
  put_integer(STEPPED, 1);
  put_session(start, numbers, true);
  put_integer(1, 4); /* one effect */
  put_integer(0, 1); /* append */
  put_bytes(text("add"));
  put_integer(8, 4);
  put_integer(value, 8);
  put_integer(0, 1); /* wake */
  put_integer(0, 1); /* outcome */
}

static uint64_t value_at(Bytes numbers, uint32_t index) {
  Reader in = {numbers.at + NUMBER * index + 32, numbers.at + NUMBER * (index + 1), false};
  return integer(&in, 8);
}

static void put_end(const Start *start, Bytes numbers) {
  uint64_t sum = 0;
  bool fits = true;
  for (uint32_t it = 0; it < numbers.size; it++)
    fits &= !__builtin_add_overflow(sum, value_at(numbers, it), &sum);
  put_integer(1, 4); /* The state has one byte: None. */
  put_integer(0, 1);
  put_integer(0, 4); /* effects */
  put_integer(0, 1); /* wake */
  put_integer(1, 1); /* The outcome: */
  put_integer(!fits, 1);
  if (!fits) return put_bytes(text("the sum is greater than 2^64 - 1"));
  uint8_t result[24] = {'s', 'u', 'm', '='};
  put_bytes((Bytes){result, (uint32_t)(decimal(result + 4, sum) - result)});
  put_integer(1, 4); /* One record: its key, */
  put_integer(68, 4);
  put("sum/", 4);
  for (int it = 0; it < 32; it++) {
    *out++ = (uint8_t)"0123456789abcdef"[start->session[it] >> 4];
    *out++ = (uint8_t)"0123456789abcdef"[start->session[it] & 15];
  }
  put_integer(1, 1); /* and its content. */
  put_integer(8, 4);
  put_integer(sum, 8);
}

static void add(const Start *start, Bytes numbers, bool said, Reader *in) {
  const uint8_t *author = take(in, 32);
  Bytes label = bytes(in), payload = bytes(in);
  if (in->bad) return fail(BAD_INPUT, "not an envelope of ABI 1");
  uint32_t place = 0;
  bool had = false;
  for (uint32_t it = 0; it < numbers.size; it++) {
    const uint8_t *other = numbers.at + NUMBER * it;
    int byte = 0;
    while (byte < 32 && other[byte] == author[byte]) byte++;
    had |= byte == 32;
    if (byte < 32 && other[byte] < author[byte]) place = it + 1;
  }
  const char *reason = NULL;
  if (!takes_part(start, author)) reason = "the author is not a participant";
  else if (label.size != 3 || !same(label.at, (const uint8_t *)"add", 3))
    reason = "there is no such event in this protocol";
  else if (had) reason = "the author has already added a number";
  else if (payload.size != 8) reason = "the payload is not a number";
  if (reason) {
    put_integer(FAILED, 1);
    put_integer(BAD_EVENT, 1);
    put(author, 32);
    put_bytes(label);
    return put_bytes(text(reason));
  }
  uint8_t *more = allocate((numbers.size + 1) * NUMBER), *reply = out;
  out = more;
  put(numbers.at, place * NUMBER);
  put(author, 32);
  put(payload.at, 8);
  put(numbers.at + place * NUMBER, (numbers.size - place) * NUMBER);
  out = reply;
  numbers = (Bytes){more, numbers.size + 1};
  put_integer(STEPPED, 1);
  if (numbers.size == start->participants.size) return put_end(start, numbers);
  put_session(start, numbers, said || same(author, start->me, 32));
  put_nothing_to_do();
}

/* ---- One step: state, rights, input. ---- */

enum { START, EVENT, CLOCK, REPLY, SIGNAL, INPUTS };

static void step(Reader *in) {
  Bytes state = bytes(in);
  many(in, 1); /* The rights: the host holds this protocol to them, not the protocol itself. */
  uint8_t input = tag(in, INPUTS);
  if (in->bad) return fail(BAD_INPUT, "not an envelope of ABI 1");
  if (!state.size)
    return input == START ? begin(in) : fail(UNEXPECTED, "the session has not begun");
  Reader kept = {state.at, state.at + state.size, false};
  if (!tag(&kept, 2)) { /* None */
    if (!kept.bad && kept.at == kept.end) return fail(UNEXPECTED, "the session has ended");
    kept.bad = true;
  }
  Start start = start_of(&kept);
  Bytes numbers = many(&kept, NUMBER);
  bool said = tag(&kept, 2);
  if (kept.bad || kept.at != kept.end) {
    put_integer(FAILED, 1);
    return put_integer(BAD_STATE, 1);
  }
  switch (input) {
    case START: return fail(UNEXPECTED, "the session has already begun");
    case EVENT: return add(&start, numbers, said, in);
    case SIGNAL: {
      Bytes signal = bytes(in);
      return in->bad ? fail(BAD_INPUT, "not an envelope of ABI 1")
                     : say(&start, numbers, said, signal);
    }
    default: return fail(UNEXPECTED, "the session asked for nothing");
  }
}

/* ---- The exports. `memory` is the linker's. ---- */

EXPORT("aura_abi_1") void aura_abi_1(void) {}

EXPORT("aura_in") uint8_t *aura_in(uint32_t size) { return allocate(size); }

EXPORT("aura_step") uint64_t aura_step(const uint8_t *from, uint32_t size) {
  uint8_t *reply = allocate(size + 1024);
  out = reply;
  Reader in = {from, from + size, false};
  uint16_t abi = (uint16_t)integer(&in, 2);
  uint8_t op = tag(&in, 3);
  if (in.bad || abi != 1) fail(BAD_INPUT, "not an envelope of ABI 1");
  else if (op == 1) step(&in);
  else if (op == 2) put_integer(UNSUPPORTED, 1);
  else {
    put_integer(DESCRIBED, 1);
    put(descriptor, sizeof descriptor);
  }
  return (uintptr_t)reply | (uint64_t)(out - reply) << 32;
}
