/* program.c: does nothing.  What matters is how it is linked. */

#ifdef LOOK_SANITIZED
/* What every program that AddressSanitizer is built into has among its dynamic names. */
__attribute__((visibility("default"))) void __asan_init(void);

void __asan_init(void)
{
}
#endif

int main(void)
{
	return 0;
}
