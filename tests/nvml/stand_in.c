/* A stand-in for NVIDIA's libnvidia-ml.so: answers from the scenario file that NVML_SCENARIO names.
 *
 * The file has one item a line, `word key=value …`; blanks within a value are written as `_`:
 *   driver version=580.95.05 cuda=13000 init=0
 *   gpu uuid=… name=… total=… used=… free=… util=… temp=… milliwatts=… mig=1 handle_error=15 error=15
 *   mig uuid=… name=… total=… used=… free=… slot=0      (belongs to the gpu above)
 *   process pid=… memory=…  or  graphics pid=… memory=… (belongs to the gpu or mig above)
 * A key that is missing is a field that the card does not support. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { MAX_ITEMS = 256, LINE = 512, MIG_SLOTS = 7 };

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } process;

static char items[MAX_ITEMS][LINE];
static int count;

static int is(const char *item, const char *word) {
    size_t length = strlen(word);
    return strncmp(item, word, length) == 0 && (item[length] == ' ' || item[length] == '\0');
}

/* The value of `key` in an item, or NULL. */
static const char *value(const char *item, const char *key) {
    static char found[LINE];
    char pattern[64];
    snprintf(pattern, sizeof pattern, " %s=", key);
    const char *start = strstr(item, pattern);
    if (!start) return NULL;
    start += strlen(pattern);
    size_t length = strcspn(start, " ");
    memcpy(found, start, length);
    found[length] = '\0';
    return found;
}

static int number(const char *item, const char *key, unsigned long long *out) {
    const char *text = value(item, key);
    if (!text) return NOT_SUPPORTED;
    *out = strtoull(text, NULL, 10);
    return SUCCESS;
}

static unsigned long long number_or(const char *item, const char *key, unsigned long long otherwise) {
    number(item, key, &otherwise);
    return otherwise;
}

static int text(const char *item, const char *key, char *out, unsigned size) {
    const char *found = value(item, key);
    if (!found) return NOT_SUPPORTED;
    if (strlen(found) >= size) return INSUFFICIENT_SIZE;
    strcpy(out, found);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = ' ';
    return SUCCESS;
}

static const char *find(const char *word, unsigned index) {
    for (int i = 0; i < count; i++)
        if (is(items[i], word) && index-- == 0) return items[i];
    return NULL;
}

/* Fails with the card's own error, where the scenario gives it one. */
#define ALIVE(device) \
    do { \
        int broken = (int)number_or(device, "error", SUCCESS); \
        if (broken) return broken; \
    } while (0)

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const char *path = getenv("NVML_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) return UNKNOWN;
    for (count = 0; count < MAX_ITEMS && fgets(items[count], LINE, file); count++)
        items[count][strcspn(items[count], "\n")] = '\0';
    fclose(file);
    const char *driver = find("driver", 0);
    return driver ? (int)number_or(driver, "init", SUCCESS) : SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    const char *driver = find("driver", 0);
    return driver ? text(driver, "version", out, size) : NOT_SUPPORTED;
}

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    const char *driver = find("driver", 0);
    unsigned long long version;
    if (!driver || number(driver, "cuda", &version)) return NOT_SUPPORTED;
    *out = (int)version;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *out) {
    for (*out = 0; find("gpu", *out); ++*out) {}
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, const char **out) {
    const char *gpu = find("gpu", index);
    if (!gpu) return INVALID_ARGUMENT;
    *out = gpu;
    return (int)number_or(gpu, "handle_error", SUCCESS);
}

int nvmlDeviceGetUUID(const char *device, char *out, unsigned size) {
    ALIVE(device);
    return text(device, "uuid", out, size);
}

int nvmlDeviceGetName(const char *device, char *out, unsigned size) {
    ALIVE(device);
    return text(device, "name", out, size);
}

int nvmlDeviceGetMemoryInfo_v2(const char *device, memory_v2 *out) {
    ALIVE(device);
    if (out->version != (sizeof *out | 2u << 24)) return INVALID_ARGUMENT;
    if (number(device, "total", &out->total)) return NOT_SUPPORTED;
    out->used = number_or(device, "used", 0);
    out->free = number_or(device, "free", 0);
    out->reserved = out->total - out->used - out->free;
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(const char *device, utilization *out) {
    ALIVE(device);
    unsigned long long percent;
    if (number(device, "util", &percent)) return NOT_SUPPORTED;
    *out = (utilization){ (unsigned)percent, 0 };
    return SUCCESS;
}

static int small(const char *device, const char *key, unsigned *out) {
    ALIVE(device);
    unsigned long long found;
    if (number(device, key, &found)) return NOT_SUPPORTED;
    *out = (unsigned)found;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(const char *device, unsigned sensor, unsigned *out) {
    return sensor == 0 ? small(device, "temp", out) : INVALID_ARGUMENT;
}

int nvmlDeviceGetPowerUsage(const char *device, unsigned *out) { return small(device, "milliwatts", out); }

/* As NVML does it: the room on the way in, the number on the way out. */
static int processes(const char *device, const char *word, unsigned *room, process *out) {
    ALIVE(device);
    if (value(device, "no_processes")) return NOT_SUPPORTED;
    unsigned found = 0, given = *room;
    for (const char *item = device + LINE; item < items[count]; item += LINE) {
        if (is(item, "gpu") || is(item, "mig")) break;
        if (!is(item, word)) continue;
        if (out && found < given)
            out[found] = (process){ (unsigned)number_or(item, "pid", 0), number_or(item, "memory", ~0ULL), ~0u, ~0u };
        found++;
    }
    *room = found;
    return found > given ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const char *device, unsigned *room, process *out) {
    return processes(device, "process", room, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const char *device, unsigned *room, process *out) {
    return processes(device, "graphics", room, out);
}

int nvmlDeviceGetMigMode(const char *device, unsigned *current, unsigned *pending) {
    int outcome = small(device, "mig", current);
    *pending = *current;
    return outcome;
}

int nvmlDeviceGetMaxMigDeviceCount(const char *device, unsigned *out) {
    ALIVE(device);
    *out = MIG_SLOTS;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(const char *device, unsigned index, const char **out) {
    ALIVE(device);
    for (const char *item = device + LINE; item < items[count] && !is(item, "gpu"); item += LINE) {
        if (is(item, "mig") && number_or(item, "slot", 0) == index) {
            *out = item;
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}
