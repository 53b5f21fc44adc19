// Toeplitz hash and RSS contexts. See rss.h.
#include "hw_model/rss.h"

#include <algorithm>
#include <cstring>

#include "hw_model/frame_parser.h"

namespace postern::hw_model {

uint32_t toeplitz_hash(const RssKey& key, const uint8_t* input, uint32_t bytes) {
  uint32_t window = static_cast<uint32_t>(key[0]) << 24 | static_cast<uint32_t>(key[1]) << 16 |
                    static_cast<uint32_t>(key[2]) << 8 | key[3];
  uint32_t hash = 0;
  for (uint32_t i = 0; i < bytes; ++i) {
    for (unsigned bit = 8; bit-- > 0;) {
      if ((input[i] >> bit & 1) != 0) hash ^= window;
      window = window << 1 | (key[i + 4] >> bit & 1u);
    }
  }
  return hash;
}

uint32_t rss_input(const uint8_t* frame, const ParsedFrame& parsed, uint8_t* input) {
  uint32_t bytes = 0;
  if (parsed.l3_class == PST_L3_CLASS_IPV4) {
    bytes = 8;
    std::memcpy(input, frame + parsed.l3_offset + 12, bytes);
  } else if (parsed.l3_class == PST_L3_CLASS_IPV6) {
    bytes = 32;
    std::memcpy(input, frame + parsed.l3_offset + 8, bytes);
  } else {
    return 0;
  }
  if (parsed.l4_class == PST_L4_CLASS_TCP || parsed.l4_class == PST_L4_CLASS_UDP) {  // never for fragments
    store_be16(input + bytes, parsed.source_port);
    store_be16(input + bytes + 2, parsed.destination_port);
    bytes += 4;
  }
  return bytes;
}

uint32_t Rss::allocate(uint32_t pd, uint32_t& context_id) {
  const auto unused = std::find_if(contexts_.begin(), contexts_.end(), [](const Context& c) { return !c.used; });
  if (unused == contexts_.end() && contexts_.size() == PST_LIMIT_RSS_CONTEXT_COUNT_MAX)
    return PST_ERROR_CODE_NO_RESOURCE;
  context_id = static_cast<uint32_t>(unused - contexts_.begin());
  if (unused == contexts_.end()) contexts_.emplace_back();
  contexts_[context_id].used = true;
  contexts_[context_id].pd = pd;
  return PST_ERROR_CODE_OK;
}

uint32_t Rss::free(uint32_t context_id) {
  if (!exists(context_id)) return PST_ERROR_CODE_NOT_FOUND;
  if (contexts_[context_id].filter_count != 0) return PST_ERROR_CODE_IN_USE;
  contexts_[context_id] = Context();
  return PST_ERROR_CODE_OK;
}

void Rss::configure(uint32_t context_id, const RssKey& key, const RssTable& table) {
  Context& context = contexts_[context_id];
  context.configured = true;
  context.key = key;
  context.table = table;
  context.hash_of_byte.resize(kRssInputBytesMax * 256);
  for (uint32_t position = 0; position < kRssInputBytesMax; ++position) {
    uint8_t input[kRssInputBytesMax] = {};
    for (uint32_t value = 0; value < 256; ++value) {
      input[position] = static_cast<uint8_t>(value);
      context.hash_of_byte[position * 256 + value] = toeplitz_hash(key, input, position + 1);
    }
  }
}

bool Rss::domain_in_use(uint32_t pd) const {
  return std::any_of(contexts_.begin(), contexts_.end(), [pd](const Context& c) { return c.used && c.pd == pd; });
}

void Rss::remove_vi(uint32_t vi_id) {
  for (Context& context : contexts_) {
    if (context.configured)
      std::replace(context.table.begin(), context.table.end(), static_cast<uint16_t>(vi_id), kNoVi);
  }
}

Rss::Choice Rss::choose(uint32_t context_id, const uint8_t* frame, const ParsedFrame& parsed) const {
  const Context& context = contexts_[context_id];
  uint8_t input[kRssInputBytesMax];
  const uint32_t bytes = context.configured ? rss_input(frame, parsed, input) : 0;
  if (bytes == 0) return {};
  uint32_t hash = 0;
  for (uint32_t i = 0; i < bytes; ++i) hash ^= context.hash_of_byte[i * 256 + input[i]];
  return {context.table[hash % PST_LIMIT_RSS_INDIRECTION_ENTRIES], true, hash};
}

}  // namespace postern::hw_model
