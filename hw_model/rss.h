// Receive-side scaling: Toeplitz hash and the contexts (key and indirection table) of protection domains. Hides the
// hash's lookup tables. Packet walk: rx_filter asks it which VI of a domain takes a frame.
//
// The hash is the one that the published Microsoft RSS specification defines; its verification vectors are in
// tests/hw_model/rss_test.cc.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "contract/gen/pst_contract.h"

namespace postern::hw_model {

struct ParsedFrame;

constexpr uint32_t kRssInputBytesMax = 36;  // two IPv6 addresses and two ports
using RssKey = std::array<uint8_t, PST_LIMIT_RSS_KEY_BYTES>;
using RssTable = std::array<uint16_t, PST_LIMIT_RSS_INDIRECTION_ENTRIES>;

// Toeplitz hash of up to kRssInputBytesMax bytes of input in network order, bit by bit.
uint32_t toeplitz_hash(const RssKey& key, const uint8_t* input, uint32_t bytes);

// What of a frame is hashed: source and destination address, and source and destination port if it is TCP or UDP and no
// fragment. Returns the number of bytes written to input (room for kRssInputBytesMax); 0 if the frame is not IP.
uint32_t rss_input(const uint8_t* frame, const ParsedFrame& parsed, uint8_t* input);

class Rss {
 public:
  static constexpr uint16_t kNoVi = 0xffff;

  // Where a frame goes and what its prefix says.
  struct Choice {
    uint16_t vi_id = kNoVi;  // kNoVi: the filter's target VI
    bool hash_valid = false;
    uint32_t hash = 0;
  };

  void reset() { contexts_.clear(); }

  // Admin commands; each returns an ERROR_CODE. A new context hashes nothing and sends all to the target VI.
  uint32_t allocate(uint32_t pd, uint32_t& context_id);
  uint32_t free(uint32_t context_id);
  // Key and table that have been checked; the context exists.
  void configure(uint32_t context_id, const RssKey& key, const RssTable& table);

  [[nodiscard]] bool exists(uint64_t context_id) const {
    return context_id < contexts_.size() && contexts_[context_id].used;
  }
  [[nodiscard]] uint32_t domain(uint32_t context_id) const { return contexts_[context_id].pd; }
  [[nodiscard]] bool domain_in_use(uint32_t pd) const;
  // Contexts have identifiers below this.
  [[nodiscard]] uint32_t context_id_count() const { return static_cast<uint32_t>(contexts_.size()); }
  // As hardware holds it: kNoVi in the table stands for the filter's target VI.
  struct Configuration {
    bool configured = false;
    RssKey key{};
    RssTable table{};
    bool operator==(const Configuration& o) const {
      return configured == o.configured && key == o.key && table == o.table;
    }
  };
  [[nodiscard]] Configuration configuration(uint32_t context_id) const {
    const Context& context = contexts_[context_id];
    return {context.configured, context.key, context.table};
  }

  // A filter starts or stops to use the context.
  void add_user(uint32_t context_id) { ++contexts_[context_id].filter_count; }
  void remove_user(uint32_t context_id) { --contexts_[context_id].filter_count; }
  // The VI is gone: what the tables send to it falls to the target VI.
  void remove_vi(uint32_t vi_id);

  [[nodiscard]] Choice choose(uint32_t context_id, const uint8_t* frame, const ParsedFrame& parsed) const;

 private:
  struct Context {
    bool used = false;
    bool configured = false;
    uint32_t pd = 0;
    uint32_t filter_count = 0;
    RssKey key{};
    RssTable table{};
    std::vector<uint32_t> hash_of_byte;  // [position * 256 + value]: what that byte adds to the hash
  };
  std::vector<Context> contexts_;
};

}  // namespace postern::hw_model
