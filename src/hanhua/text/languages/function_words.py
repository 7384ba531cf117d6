"""The little words of languages: they tell them apart where little else does.

Every language's commonest articles, prepositions, conjunctions, pronouns and auxiliaries; they
are a third to a half of its running words and hardly depend on the subject.
"""

from __future__ import annotations

WORDS: dict[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the of and to in is was that for it with as on be by at this are from have not but "
        "his had which they you were their an or one all we there been has would when what who "
        "will her she he my your can more no if out so said than its into them only some could "
        "these then do our how about like me i a also after most other such should any where "
        "because through between while before may over under him up now two first did made both "
        "much very us those many here same each even must",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als "
        "auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über "
        "einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde ich wir ihr",
        "fr": "de la le et les des en un du une que est pour qui dans par plus pas au sur ne se "
        "ce il sont avec elle son mais comme ou si leur y dont nous vous je cette ses aux été ont "
        "était fait être tout même ces on a à",
        "es": "de la que el en y los del se las por un para con no una su al lo como más pero sus "
        "le ya o este sí porque esta entre cuando muy sin sobre también me hasta hay donde quien "
        "desde todo nos ha fue son era es está a",
        "it": "di e il la che in un a per è una sono non si da con le del i dei della nel al come "
        "ma più anche o se gli alla lo ha delle su ci dal questo ai nella quando essere hanno "
        "dalla stato suo mi perché era",
        "pt": "de a o que e do da em um para é com não uma os no se na por mais as dos como mas "
        "foi ao ele das tem à seu sua ou ser quando muito há nos já está eu também só pelo pela "
        "até isso ela entre era depois são",
        "nl": "de van het een en in is dat op te zijn met die voor niet aan er om ook als maar bij "
        "of uit nog naar dan wordt door over ze hij werd tot wel was heeft had worden geen deze "
        "meer hun wat zich ik je we",
        "sv": "och i att det som en på är av för med den till inte har de om ett han men var jag "
        "sig från vi så kan när nu man skulle ska hade sin eller vid under också efter där mot "
        "mycket deras finns",
        "da": "og i at det er en til af på for med den som de der ikke har et fra var jeg vi blev "
        "ved også han sig eller så men efter om kan havde mere hvor over skal ud være mod hun",
        "no": "og i det er på til som en at av for med har de ikke den om fra et han men vi jeg "
        "var seg ble ved skal så også kan eller etter være ut mer hun hadde hvor mot dette mellom",
        "pl": "w i na z się do nie jest to że o jak za po od ale co przez dla jego był są oraz tym "
        "czy już także tak tego jej może było ze być tylko które który która ich",
        "cs": "a se v na je že o s z do i to k ve pro za by ale si po jsem jsou jako od jeho jak "
        "který která které nebo bylo byl jen až také tak než při ještě podle jejich být co",
        "sk": "a sa v na je že o s z do aj to k vo pre za by ale si po som sú ako od jeho ktorý "
        "ktorá ktoré alebo bolo bol len až tak než pri ešte podľa ich byť čo však keď",
        "hr": "i u je na se da za su od s o koji kao bi ne što iz to će ali ili koja koje po do "
        "nije te sam samo bio biti kako već godine njegov između nakon",
        "sl": "in je v na se da za so ki z pa s ne po kot bi tudi od o ali še bo pri do iz če ni "
        "lahko sem že bil to samo med kjer njegov",
        "ro": "de şi și în la a cu din pe care nu că o un se pentru mai este ca sau au fost prin "
        "ale sunt al dar după iar lui această acest fi el am nici până între fără",
        "hu": "a az és hogy nem is egy ez meg volt de mint csak már ha még van azt ki vagy után "
        "kell ezt lesz el lehet minden aki amely ahol mert majd között szerint",
        "fi": "ja on ei se että oli ovat kun hän mutta myös tai joka niin kuin ole nyt jos vain "
        "sen mukaan sekä jo olla ollut hänen vielä sitä tämä ne jotka joita kanssa",
        "et": "ja on ei et see oli ta kui ka aga mis oma või siis nii kes seda ning juba selle "
        "veel pole üks mitte nagu ma tema välja pärast",
        "lt": "ir į kad yra iš su tai ne kaip bet ar už apie jis buvo nuo per dar jau tik po taip "
        "arba labai prie kuris savo mes iki",
        "lv": "un ir ar no uz par tas ka kas bet ne arī gan vai pie kā tā pēc lai bija tiek jau "
        "vēl savu līdz nav tikai",
        "tr": "ve bir bu da de için ile olarak çok daha olan gibi en ne o kadar sonra var ama her "
        "değil ki mi ise ya tarafından olduğu diye göre kendi",
        "vi": "và của là có không được cho một những các với người trong đã này khi để đó ra thì "
        "cũng từ như vào đến ở nhiều tôi về sẽ anh đang lại theo",
        "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke karena "
        "ada oleh telah mereka lebih bisa sebagai atau adalah dapat kata sudah tersebut para "
        "kepada beliau daripada namun yaitu",
        "ca": "de la i el que a en els les un per una amb del és al no es va com més ha pel dels "
        "o seva seu però són aquest aquesta també han fins molt entre on",
        "tl": "ang ng sa na mga ay at ni si ito para hindi kay nang may ko siya mo ako kung din "
        "pa lang niya pero ka isang dahil",
        "sw": "ya na wa kwa ni katika la za kuwa cha hii huo au kama hiyo hayo wake yake wao pia "
        "alisema baada watu ambao lakini",
        "ru": "и в не на что с как по это из у но за от к он его для так все же или бы было был "
        "была быть они мы вы её ее их только уже если когда во до о об при еще ещё чтобы который "
        "которые также после может под этого этом том я ты она",
        "uk": "і в не на що з як та до у за це від його але для по про він є ми ви її їх які який "
        "яка було був бути також або так вже якщо коли при ще щоб під після може цього час тому "
        "й із зі вона вони її",
        "gl": "de a o que e do da en un para é con non unha os no se na por máis as dos como pero "
        "foi ao el das ten á seu súa ou ser cando moito hai nos xa está eu tamén só pola ata ela "
        "entre era despois son polo",
        "ms": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga saya ke kerana ada "
        "oleh telah mereka lebih boleh sebagai atau adalah dapat kata sudah tersebut para bagi "
        "beliau daripada ialah kepada",
        "af": "die van in het en is dat om te nie met vir hy op sy wat was as ook aan by sal kan "
        "maar of deur hulle ons haar na uit word meer nog daar ek",
        "az": "və bir bu da də üçün ilə olaraq çox daha olan kimi ən nə o qədər sonra var ancaq "
        "hər deyil ki isə ya tərəfindən görə öz edir",
        "is": "og í að er á til sem en af við með hafa ekki það um frá var ég hann hún þess þar "
        "verið eða hefur voru þeir",
        "sr": "i u je na se da za su od s o koji kao bi ne što iz to će ali ili koja koje po do "
        "nije sam samo bio biti kako već godine između nakon и у је на се да за су од с о који као "
        "би не што из то ће али или која које по до није сам само био бити како већ године између",
        "mk": "и на во за да се од со не е ги го што по до при или но како беше тоа овој која кои "
        "кој има ќе може само меѓу според повеќе ја",
        "bg": "и на в за да се от с не е са че по като до то при или но със след през това той би "
        "ще който която които има бе беше тя те още само може във към му си",
        "be": "і ў на не з што да як у за гэта але для па пра ён яна яны мы вы яго яе іх які якая "
        "якія быў была было таксама або так ужо калі пры каб пад пасля можа ад",
    }.items()
}
