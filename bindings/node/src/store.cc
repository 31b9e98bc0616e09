// Makes ArrayBuffers whose backing store owns a slabuf buffer.
//
// Node-API ties external memory to the environment that made the ArrayBuffer: when that environment
// ends, Node calls the finalizer although the backing store may have moved to another thread. V8's
// own interface ties the memory to the backing store. V8 calls the deleter exactly once, on any
// thread, after the last ArrayBuffer that uses the store is gone.

#include <node.h>
#include <node_buffer.h>

#include <cstddef>
#include <memory>

extern "C" {

// Returns the ABI that this file was compiled for, as in process.versions.modules.
int slabuf_store_abi() { return NODE_MODULE_VERSION; }

// Returns the length of the longest Buffer.
size_t slabuf_store_max_len() { return node::Buffer::kMaxLength; }

// Makes an ArrayBuffer in the isolate of the running call. Never fails: V8 ends the process if its
// own heap is exhausted.
void* slabuf_store_array_buffer(void* start, size_t len, v8::BackingStore::DeleterCallback free_memory,
                                void* owner) {
  v8::Isolate* isolate = v8::Isolate::GetCurrent();
  std::shared_ptr<v8::BackingStore> store =
      v8::ArrayBuffer::NewBackingStore(start, len, free_memory, owner);
  v8::Local<v8::ArrayBuffer> buffer = v8::ArrayBuffer::New(isolate, std::move(store));
  // A napi_value is the address of a handle's slot.
  static_assert(sizeof(buffer) == sizeof(void*), "a handle is one pointer");
  return *reinterpret_cast<void**>(&buffer);
}

}
